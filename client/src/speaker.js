import { Cell } from "./cell.js";

const KEY = "notify:focused";

/**
 * Whether this tab is the one that speaks to screen readers: the focused one,
 * else the one focused last if it can still be seen.
 */
export class Speaker {
  #focused;
  #me = Math.random().toString(36).slice(2);

  /**
   * @param {object} options
   * @param {EventTarget} options.window
   * @param {EventTarget & {hasFocus: () => boolean, hidden: boolean}} options.document
   * @param {() => Storage} options.storage  shared by all tabs
   */
  constructor({ window, document, storage }) {
    this.window = window;
    this.document = document;
    // Where it is forbidden, each visible tab speaks.
    this.#focused = new Cell(storage, KEY);
  }

  /** @param {AbortSignal} signal */
  start(signal) {
    const claim = () => this.document.hasFocus() && this.#focused.write(this.#me);
    const leave = () => this.#focused.read() === this.#me && this.#focused.write(null);
    this.window.addEventListener("focus", claim, { signal });
    this.window.addEventListener("pagehide", leave, { signal });
    this.document.addEventListener("visibilitychange", () => (this.document.hidden ? leave() : claim()), { signal });
    claim();
  }

  /** Ask at the moment of speaking. */
  speaks() {
    if (this.document.hasFocus()) return true;
    const focused = this.#focused.read();
    return !this.document.hidden && (focused === null || focused === this.#me);
  }
}
