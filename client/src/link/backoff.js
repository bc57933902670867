/** The shortest wait, in ms. */
const LEAST = 500;

/**
 * How long to wait before the next try. The jitter is drawn after the cap:
 * otherwise ten thousand clients of a restarted server would come back in step.
 */
export class Backoff {
  #tries = 0;
  #most;

  /** @param {number} [most]  ms */
  constructor(most = 20_000) {
    this.#most = most;
  }

  /** The next wait in ms: anywhere between the least and a ceiling that doubles from the third try on. */
  next() {
    const ceiling = Math.min(this.#most, LEAST * 4 * 2 ** Math.max(0, this.#tries - 1));
    this.#tries += 1;
    return LEAST + Math.random() * (ceiling - LEAST);
  }

  /** Use the highest ceiling from now on, because the other side is full. */
  _giveWay() {
    this.#tries = Infinity;
  }

  /** Start again at the lowest ceiling. Call it after a connection that lasted. */
  reset() {
    this.#tries = 0;
  }
}
