import { Emitter, listen } from "../platform/emitter.js";

/**
 * The tabs of one user in one browser. A message that one tab posts is emitted
 * in all others (`message`), and one tab at a time may lead.
 *
 * Sites without HTTPS have no locks and some browsers have no channel. There
 * each tab is on its own.
 */
export class Tabs extends Emitter {
  /** @type {BroadcastChannel | undefined} */
  #channel;
  #name;

  /** @param {string} [user]  whose tabs; without it each tab is on its own */
  constructor(user) {
    super();
    // The number keeps apart the tabs of another release, whose messages may have another meaning.
    this.#name = user && `notify:1:${user}`;
  }

  /** True if one tab can lead the others. It cannot without HTTPS, nor in an old browser. */
  get _together() {
    return Boolean(this.#name && navigator.locks && globalThis.BroadcastChannel);
  }

  open() {
    if (!this.#name || this.#channel) return;
    try {
      this.#channel = new BroadcastChannel(this.#name);
      this.#channel.onmessage = ({ data }) => this._emit("message", data);
    } catch {
      // The browser has no channel, or forbids it: this tab stays on its own.
    }
  }

  /** An open channel would cost the page its place in the back/forward cache. */
  close() {
    this.#channel?.close();
    this.#channel = undefined;
  }

  /** @param {object} message */
  post(message) {
    this.#channel?.postMessage(message);
  }

  /**
   * Wait for the lead, or take it from the tab that has it. Returns a function
   * that gives up the lead, or the wait for it.
   * @param {() => void} won
   * @param {() => void} robbed
   * @param {boolean} [steal]
   * @returns {() => void}
   */
  _lead(won, robbed, steal = false) {
    const over = new AbortController();
    const { signal } = over;
    const held = new Promise((resolve) => listen(signal, "abort", resolve));
    let leads = false;
    const lead = () => {
      leads = true;
      // In a microtask of its own: an error in won() would otherwise reject the lock, and look like a theft.
      queueMicrotask(() => signal.aborted || won());
      return held;
    };
    const name = /** @type {string} */ (this.#name);
    const requested = this.#channel ? navigator.locks.request(name, steal ? { steal } : { signal }, lead) : Promise.reject();
    requested.catch(() => {
      if (signal.aborted) return;
      if (leads) robbed();
      // Locks or channels are forbidden here, so each tab leads itself.
      else won();
    });
    return () => over.abort();
  }
}
