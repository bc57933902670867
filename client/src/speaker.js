const KEY = "notify:focused";

/**
 * Whether this tab is the one that speaks to screen readers: the focused one,
 * else the one focused last if it can still be seen.
 */
export class Speaker {
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
    this.storage = storage;
  }

  /** @param {AbortSignal} signal */
  start(signal) {
    const claim = () => this.document.hasFocus() && this.#write(this.#me);
    const leave = () => this.#read() === this.#me && this.#write(null);
    this.window.addEventListener("focus", claim, { signal });
    this.window.addEventListener("pagehide", leave, { signal });
    this.document.addEventListener("visibilitychange", () => (this.document.hidden ? leave() : claim()), { signal });
    claim();
  }

  /** Ask at the moment of speaking. */
  speaks() {
    if (this.document.hasFocus()) return true;
    const focused = this.#read();
    return !this.document.hidden && (focused === null || focused === this.#me);
  }

  #read() {
    try {
      return this.storage().getItem(KEY);
    } catch {
      return null;
    }
  }

  /** @param {string | null} value */
  #write(value) {
    try {
      if (value === null) this.storage().removeItem(KEY);
      else this.storage().setItem(KEY, value);
    } catch {
      // Forbidden: then each visible tab speaks.
    }
  }
}
