/** Silence may take this much longer than the heartbeat, in ms. */
const GRACE = 10_000;

/**
 * Knows whether anybody still speaks at the other end. Any document is a sign
 * of life; silence for a heartbeat and a grace means dead.
 *
 * The wall clock decides, never the timer: timers stand still while a laptop
 * sleeps. So whoever notices that the page is back calls `check()`.
 */
export class Liveness {
  #heartbeat = 0;
  #deadline = Infinity;
  /** @type {any} */
  #timer;

  /** @param {() => void} die  what happens then */
  constructor(die) {
    this.die = die;
  }

  /** @param {number} heartbeat  seconds, as the welcome says */
  start(heartbeat) {
    this.#heartbeat = heartbeat * 1000;
    this.#wait(this.#heartbeat);
  }

  /** Something was heard. */
  alive() {
    if (this.#heartbeat) this.#wait(this.#heartbeat);
  }

  /** A sign of life was asked for, and has to come soon. */
  doubt() {
    this.check();
    if (this.#heartbeat && Date.now() + GRACE < this.#deadline) this.#wait(0);
  }

  check() {
    if (Date.now() < this.#deadline) return;
    this.stop();
    this.die();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#heartbeat = 0;
    this.#deadline = Infinity;
  }

  /** @param {number} quiet  ms that may pass before the grace */
  #wait(quiet) {
    clearTimeout(this.#timer);
    this.#deadline = Date.now() + quiet + GRACE;
    this.#timer = setTimeout(() => this.check(), quiet + GRACE);
  }
}
