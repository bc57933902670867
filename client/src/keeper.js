/** @import { Client } from "./client.js" */
/** @import { TabMemory } from "./memory.js" */
/** @import { Toasts } from "./toasts.js" */

/**
 * Keeps in the tab's memory what the client holds and which toasts are open,
 * and puts both back on the next page.
 */
export class Keeper {
  #saving = false;

  /**
   * @param {object} options
   * @param {TabMemory} options.memory
   * @param {Client} options.client
   * @param {Toasts} options.toasts
   * @param {AbortSignal} options.signal  once aborted, nothing is saved
   */
  constructor({ memory, client, toasts, signal }) {
    this.memory = memory;
    this.client = client;
    this.toasts = toasts;
    this.signal = signal;
  }

  /** @returns {boolean} whether there was something to remember */
  restore() {
    const memory = this.memory.read();
    if (!memory) return false;
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
    this.memory.write({
      store: this.client.store.save(open.map(({ notification }) => notification.id)),
      toasts: open.map(({ notification, left, announced, visible }) => ({
        id: notification.id,
        left: left === Infinity ? null : left,
        announced,
        visible,
      })),
    });
  }

  forget() {
    this.memory.forget();
  }
}
