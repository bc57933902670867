import { Cell } from "./cell.js";

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
  #cell;

  /**
   * @param {object} options
   * @param {string} options.user  whose memory this is; another user's is wiped
   * @param {() => Storage} options.storage  a function, because asking may throw
   */
  constructor({ user, storage }) {
    this.user = user;
    this.#cell = new Cell(storage, KEY);
  }

  /** @returns {Memory | null} */
  read() {
    const { version, user, memory } = this.#cell.read() ?? {};
    if (version === VERSION && user === this.user) return memory;
    this.forget();
    return null;
  }

  /** @param {Memory} memory */
  write(memory) {
    this.#cell.write({ version: VERSION, user: this.user, memory });
  }

  forget() {
    this.#cell.write(null);
  }
}
