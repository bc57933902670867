/**
 * What a tab remembers over a full-page navigation: the store's cursor and
 * counts, and the open toasts with the time that they have left. One record,
 * so that a crash never leaves a cursor without the toasts that go with it.
 *
 * @import { Saved } from "./store.js"
 *
 * @typedef {{id: number, left: number | null, announced: boolean, visible: boolean}} SavedToast
 * @typedef {{store: Saved, toasts: SavedToast[]}} Memory
 */

const KEY = "notify";

/** The shape of the record; another release must not read what it cannot. */
const VERSION = 1;

export class TabMemory {
  /**
   * @param {object} options
   * @param {string} options.user  whose memory this is; another user's is wiped
   * @param {() => Storage} options.storage  a function, because asking may throw
   */
  constructor({ user, storage }) {
    this.user = user;
    this.storage = storage;
  }

  /** @returns {Memory | null} */
  read() {
    try {
      const text = this.storage().getItem(KEY);
      if (text === null) return null;
      const { version, user, memory } = JSON.parse(text);
      if (version === VERSION && user === this.user) return memory;
    } catch {
      // Unreadable is the same as none: the server has everything.
    }
    this.forget();
    return null;
  }

  /** @param {Memory} memory */
  write(memory) {
    try {
      this.storage().setItem(KEY, JSON.stringify({ version: VERSION, user: this.user, memory }));
    } catch {
      // Full or forbidden. A stale record would be worse than none.
      this.forget();
    }
  }

  forget() {
    try {
      this.storage().removeItem(KEY);
    } catch {
      // Forbidden: then nothing was kept either.
    }
  }
}
