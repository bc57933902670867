import { Cell } from "../platform/cell.js";

/** @import { Client } from "../mailbox/client.js" */
/** @import { Saved } from "../mailbox/store.js" */
/** @import { Toasts } from "./toasts.js" */

/** JSON makes null of Infinity. @typedef {{id: number, left: number | null, announced: boolean, visible: boolean}} SavedToast */
/** @typedef {{version: number, user: string, memory: {store: Saved, toasts: SavedToast[]}}} Kept */

const KEY = "notify";

/** The shape of the record, and of the cursor in it; another release must not read what it cannot. */
const VERSION = 1;

/**
 * Keeps over a full-page navigation what the client holds and which toasts are
 * open, with the time that they have left. One record, so that a crash never
 * leaves a cursor without the toasts that go with it.
 */
export class Keeper {
  #saving = false;
  #cell = new Cell("sessionStorage", KEY);

  /**
   * @param {object} options
   * @param {string} options.user  whose memory this is; another user's is wiped
   * @param {Client} options.client
   * @param {Toasts} options.toasts
   * @param {AbortSignal} options.signal  once aborted, nothing is saved
   */
  constructor({ user, client, toasts, signal }) {
    this.user = user;
    this.client = client;
    this.toasts = toasts;
    this.signal = signal;
  }

  /** @returns {boolean} whether there was something to remember */
  restore() {
    const { version, user, memory } = /** @type {Partial<Kept>} */ (this.#cell.read() ?? {});
    if (version !== VERSION || user !== this.user || !memory) {
      this.forget();
      return false;
    }
    const { store } = this.client;
    store.restore(memory.store);
    const toasts = memory.toasts.flatMap(({ id, left, announced, visible }) => {
      const notification = store.get(id);
      return notification ? [{ notification, left: left ?? Infinity, announced, visible, quiet: true }] : [];
    });
    this.toasts.restore(toasts);
    return true;
  }

  saveSoon() {
    if (this.#saving) return;
    this.#saving = true;
    // Once for all that one document changed.
    queueMicrotask(() => this.save());
  }

  save() {
    this.#saving = false;
    if (this.signal.aborted || this.client.state === "closed") return;
    this.toasts.settle();
    const open = this.toasts.all();
    const toasts = open.map(({ notification: { id }, left, announced, visible }) => ({ id, left, announced, visible }));
    const memory = { store: this.client.store.save(toasts.map(({ id }) => id)), toasts };
    this.#cell.write({ version: VERSION, user: this.user, memory });
  }

  forget() {
    this.#cell.write(null);
  }
}
