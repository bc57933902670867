/**
 * Knows whether anybody still speaks at the other end. Any document is a sign
 * of life; silence for a heartbeat and a grace means dead.
 *
 * The wall clock decides, never the timer: timers stand still while a laptop
 * sleeps. Events: `doubt` (the network changed: ask for a sign), `dead`.
 */
export class Liveness extends EventTarget {
  #heartbeat = 0;
  #heard = 0;
  #deadline = 0;
  /** @type {any} */
  #timer;
  /** @type {AbortController | null} */
  #listening = null;

  /**
   * @param {object} options
   * @param {EventTarget} options.window
   * @param {EventTarget} options.document
   * @param {number} [options.grace]  ms
   */
  constructor({ window, document, grace = 10_000 }) {
    super();
    this.window = window;
    this.document = document;
    this.grace = grace;
  }

  /** @param {number} heartbeat  seconds, as the welcome says */
  start(heartbeat) {
    this.stop();
    this.#heartbeat = heartbeat * 1000;
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    this.window.addEventListener("online", () => this.#doubt(), { signal });
    this.window.addEventListener("pageshow", () => this.#check(), { signal });
    this.document.addEventListener("visibilitychange", () => this.#check(), { signal });
    this.alive();
  }

  /** Something was heard. */
  alive() {
    if (!this.#listening) return;
    this.#heard = Date.now();
    this.#deadline = this.#heard + this.#heartbeat + this.grace;
    this.#wait();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#listening?.abort();
    this.#listening = null;
  }

  #wait() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#check(), this.#deadline - Date.now());
  }

  #check() {
    if (Date.now() < this.#deadline) return this.#wait();
    this.stop();
    this.dispatchEvent(new Event("dead"));
  }

  #doubt() {
    this.#deadline = Math.min(this.#deadline, Math.max(Date.now(), this.#heard) + this.grace);
    this.dispatchEvent(new Event("doubt"));
    this.#check();
  }
}
