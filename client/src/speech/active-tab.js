import { Cell } from "../platform/cell.js";
import { listen } from "../platform/emitter.js";

const KEY = "notify:focused";

/**
 * Whether this tab is the one that speaks to screen readers: the focused one,
 * else the one focused last if it can still be seen.
 */
export class Speaker {
  // Where it is forbidden, each visible tab speaks.
  #focused = new Cell("localStorage", KEY);
  #me = Math.random().toString(36).slice(2);

  /** @param {AbortSignal} signal */
  start(signal) {
    const claim = () => document.hasFocus() && this.#focused.write(this.#me);
    const leave = () => this.#focused.read() === this.#me && this.#focused.write(null);
    listen(window, "focus", claim, signal);
    listen(window, "pagehide", leave, signal);
    listen(document, "visibilitychange", () => (document.hidden ? leave() : claim()), signal);
    claim();
  }

  /** Ask at the moment of speaking. */
  speaks() {
    if (document.hasFocus()) return true;
    const focused = this.#focused.read();
    return !document.hidden && (focused === null || focused === this.#me);
  }
}
