import { Emitter, listen } from "../platform/emitter.js";

/**
 * The tabs of one user in one browser. What one posts, the others hear
 * (`message`), and one at a time may lead.
 *
 * Sites without HTTPS have no locks and some browsers have no channel: there
 * each tab is alone.
 */
export class Tabs extends Emitter {
  /** @type {BroadcastChannel | undefined} */
  #channel;

  /** @param {string} [user]  whose tabs; without it each tab is alone */
  constructor(user) {
    super();
    // The number tells tabs of another release apart, which may mean something else.
    this.name = user && `notify:1:${user}`;
  }

  /** Whether one tab can lead the others: not without HTTPS, nor in an old browser. @internal */
  get together() {
    return Boolean(this.name && navigator.locks && globalThis.BroadcastChannel);
  }

  /** @internal */
  open() {
    if (!this.name || this.#channel) return;
    try {
      this.#channel = new BroadcastChannel(this.name);
      this.#channel.onmessage = ({ data }) => this.emit("message", data);
    } catch {
      // There is none, or it is forbidden.
    }
  }

  /** An open channel would cost the page its place in the back/forward cache. @internal */
  close() {
    this.#channel?.close();
    this.#channel = undefined;
  }

  /** @param {object} message @internal */
  post(message) {
    this.#channel?.postMessage(message);
  }

  /**
   * Wait for the lead, or take it away from who has it.
   * @param {() => void} won
   * @param {() => void} robbed
   * @param {boolean} [steal]
   * @returns {() => void}  lets go of it, and of the wait for it
   * @internal
   */
  lead(won, robbed, steal = false) {
    const over = new AbortController();
    const { signal } = over;
    const held = new Promise((resolve) => listen(signal, "abort", resolve));
    let leads = false;
    const lead = () => {
      leads = true;
      // Apart, so that what goes wrong in there does not look like a theft.
      queueMicrotask(() => signal.aborted || won());
      return held;
    };
    const name = /** @type {string} */ (this.name);
    const asked = this.#channel ? navigator.locks.request(name, steal ? { steal } : { signal }, lead) : Promise.reject();
    asked.catch(() => {
      if (signal.aborted) return;
      // Locks or channels may be forbidden here: then nobody leads anybody.
      if (leads) robbed();
      else won();
    });
    return () => over.abort();
  }
}
