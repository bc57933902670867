/**
 * The tabs of one user in one browser. What one posts, the others hear
 * (`message`), and one at a time may lead.
 *
 * Sites without HTTPS have no locks and some browsers have no channel: there
 * each tab is alone.
 */
export class Tabs extends EventTarget {
  /** @type {BroadcastChannel | undefined} */
  #channel;

  /**
   * @param {object} options
   * @param {string} [options.user]  whose tabs; without it each tab is alone
   * @param {LockManager} [options.locks]
   * @param {typeof BroadcastChannel} [options.Channel]
   */
  constructor({ user, locks = globalThis.navigator?.locks, Channel = globalThis.BroadcastChannel }) {
    super();
    // The number tells tabs of another release apart, which may mean something else.
    this.name = user && `notify:1:${user}`;
    this.locks = locks;
    this.Channel = Channel;
  }

  /** Whether one tab can lead the others. @internal */
  get together() {
    return Boolean(this.locks && this.#channel);
  }

  /** @internal */
  open() {
    if (!this.name || this.#channel) return;
    try {
      this.#channel = new this.Channel(this.name);
      this.#channel.onmessage = ({ data }) => this.dispatchEvent(new MessageEvent("message", { data }));
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
    const held = new Promise((resolve) => signal.addEventListener("abort", resolve));
    let leads = false;
    const lead = () => {
      leads = true;
      // Apart, so that what goes wrong in there does not look like a theft.
      queueMicrotask(() => signal.aborted || won());
      return held;
    };
    this.locks?.request(/** @type {string} */ (this.name), steal ? { steal } : { signal }, lead).catch(() => {
      if (signal.aborted) return;
      // Locks may be forbidden here: then nobody leads anybody.
      if (leads) robbed();
      else won();
    });
    return () => over.abort();
  }
}
