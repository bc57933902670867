/**
 * How long to wait before the next try: full jitter, drawn after the cap, so
 * that ten thousand clients of a restarted server do not come back in step.
 */
export class Backoff {
  #tries = 0;

  /**
   * @param {object} [options]
   * @param {number} [options.least]   ms
   * @param {number} [options.most]    ms
   * @param {() => number} [options.random]
   */
  constructor({ least = 500, most = 20_000, random = Math.random } = {}) {
    this.least = least;
    this.most = most;
    this.random = random;
  }

  /** The next wait in ms: anywhere between the least and a ceiling that doubles from the third try on. @internal */
  next() {
    const ceiling = Math.min(this.most, this.least * 4 * 2 ** Math.max(0, this.#tries - 1));
    this.#tries += 1;
    return this.least + this.random() * (ceiling - this.least);
  }

  /** The other side is full: from now on the ceiling is the highest. @internal */
  giveWay() {
    this.#tries = Infinity;
  }

  /** Call when things went well for a while. @internal */
  reset() {
    this.#tries = 0;
  }
}
