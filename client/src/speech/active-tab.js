import { listen } from "../platform/emitter.js";
import { StoredValue } from "../platform/stored-value.js";

const KEY = "notify:focused";

/**
 * Decides in which tab announcements are made: in the focused one, else in the
 * one that was focused last, while it is visible. Without it a screen reader
 * would announce each notification once for each window.
 */
export class ActiveTab {
  // If the storage is forbidden, each visible tab is active.
  #focused = new StoredValue("localStorage", KEY);
  #id = Math.random().toString(36).slice(2);

  /** @param {AbortSignal} signal */
  start(signal) {
    const claim = () => document.hasFocus() && this.#focused.write(this.#id);
    const leave = () => this.#focused.read() === this.#id && this.#focused.write(null);
    listen(window, "focus", claim, signal);
    listen(window, "pagehide", leave, signal);
    listen(document, "visibilitychange", () => (document.hidden ? leave() : claim()), signal);
    claim();
  }

  /** True while this tab is the active one. Call it for each announcement, because focus moves. */
  get _isActive() {
    if (document.hasFocus()) return true;
    const focused = this.#focused.read();
    return !document.hidden && (focused === null || focused === this.#id);
  }
}
