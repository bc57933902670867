/**
 * How long to wait before the next try. The jitter is drawn after the cap:
 * otherwise ten thousand clients of a restarted server would come back in step.
 */
export class Backoff {
  #tries = 0;
  #least;
  #most;
  #random;

  /**
   * @param {object} [options]
   * @param {number} [options.least]   ms
   * @param {number} [options.most]    ms
   * @param {() => number} [options.random]
   */
  constructor({ least = 500, most = 20_000, random = Math.random } = {}) {
    this.#least = least;
    this.#most = most;
    this.#random = random;
  }

  /** The next wait in ms: anywhere between the least and a ceiling that doubles from the third try on. */
  next() {
    const ceiling = Math.min(this.#most, this.#least * 4 * 2 ** Math.max(0, this.#tries - 1));
    this.#tries += 1;
    return this.#least + this.#random() * (ceiling - this.#least);
  }

  /** Use the highest ceiling from now on, because the other side is full. */
  giveWay() {
    this.#tries = Infinity;
  }

  /** Start again at the lowest ceiling. Call it after a connection that lasted. */
  reset() {
    this.#tries = 0;
  }
}
