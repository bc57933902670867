import { now } from "../platform/clock.js";
import { Timer } from "../platform/timer.js";

/** The silence may be this much longer than the heartbeat, in ms. */
const GRACE = 10_000;

/**
 * Notices a connection that is open but dead. Any document is a sign of life;
 * silence for a heartbeat and a grace period means dead.
 *
 * The clock decides, never the timer, because timers stand still while a laptop
 * sleeps, and may be early. So call `check()` when the page is back.
 */
export class Liveness {
  #heartbeat = 0;
  #deadline = Infinity;
  #timer = new Timer();
  #onDead;

  /** @param {() => void} onDead */
  constructor(onDead) {
    this.#onDead = onDead;
  }

  /** @param {number} heartbeat  seconds, from the welcome */
  start(heartbeat) {
    this.#heartbeat = heartbeat * 1000;
    this.#wait(this.#heartbeat);
  }

  /** A document has come. */
  _alive() {
    if (this.#heartbeat) this.#wait(this.#heartbeat);
  }

  /** A sign of life was requested, so it has to come within the grace period. */
  _doubt() {
    this.check();
    if (this.#heartbeat && now() + GRACE < this.#deadline) this.#wait(0);
  }

  check() {
    const left = this.#deadline - now();
    if (left === Infinity) return;
    if (left > 0) return this.#timer.start(left, () => this.check());
    this.stop();
    this.#onDead();
  }

  stop() {
    this.#timer.stop();
    this.#heartbeat = 0;
    this.#deadline = Infinity;
  }

  /** @param {number} silence  ms that may pass before the grace period */
  #wait(silence) {
    this.#deadline = now() + silence + GRACE;
    this.check();
  }
}
