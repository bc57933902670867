import { StoredValue } from "../platform/stored-value.js";

/** @import { Client } from "../mailbox/client.js" */
/** @import { Saved } from "../mailbox/store.js" */
/** @import { Command } from "../protocol.js" */
/** @import { Toasts } from "./toasts.js" */

/**
 * @typedef {{id: number, left: number | null, announced: boolean, visible: boolean}} SavedToast  left: JSON turns Infinity into null
 * @typedef {{version: number, user: string, memory: {store: Saved, toasts: SavedToast[], commands?: Command[]}}} Kept  commands: not in the records of older releases
 */

/** Of the shape of the record, and of the cursor in it. A release must not read the record of another. */
const VERSION = 1;

/**
 * The record of a site. An origin may have several.
 * @param {string} site  address of notify's urls, as the page has it
 */
export function recordOf(site) {
  return new StoredValue("sessionStorage", `notify:${site}`);
}

/**
 * Keeps the rows of the client, the marks that are not answered, and the open
 * toasts with the reading time that they have left, over a full-page
 * navigation. It is one record, so that a crash
 * never leaves a cursor without the toasts that belong to it.
 */
export class Keeper {
  #saving = false;
  #stored;
  #options;

  /**
   * @param {object} options
   * @param {string} options.user  whose record this is; that of another user is wiped
   * @param {string} options.site
   * @param {Client} options.client
   * @param {Toasts} options.toasts
   * @param {AbortSignal} options.signal  once it is aborted, nothing is saved
   */
  constructor(options) {
    this.#options = options;
    this.#stored = recordOf(options.site);
  }

  /** Go on from the record of the page before. Returns whether there was one. */
  _restore() {
    const { user, client, toasts } = this.#options;
    const kept = /** @type {Kept | null} */ (this.#stored.read());
    if (kept?.version !== VERSION || kept.user !== user || !kept.memory) {
      this._forget();
      return false;
    }
    const { memory } = kept;
    client.store._restore(memory.store);
    client._resume(memory.commands ?? []);
    const open = memory.toasts.flatMap(({ id, left, announced, visible }) => {
      const notification = client.store.get(id);
      return notification ? [{ notification, left: left ?? Infinity, announced, visible }] : [];
    });
    toasts._restore(open);
    return true;
  }

  _saveSoon() {
    if (this.#saving) return;
    this.#saving = true;
    // In a microtask, so that all changes of one document are saved once.
    queueMicrotask(() => this._save());
  }

  _save() {
    this.#saving = false;
    const { user, client, toasts, signal } = this.#options;
    if (signal.aborted || client.state === "closed") return;
    toasts._settle();
    const open = toasts.all().map(({ notification: { id }, left, announced, visible }) => ({ id, left, announced, visible }));
    const memory = { store: client.store._save(open.map(({ id }) => id)), toasts: open, commands: client._commands._pending };
    this.#stored.write({ version: VERSION, user, memory });
  }

  _forget() {
    this.#stored.write(null);
  }
}
