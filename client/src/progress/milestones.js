/** Between two words on one task lie so many ms, and a quarter of it. */
const PAUSE = 15_000;

/**
 * When to speak of a running task: seldom, and never of what was past before
 * this page saw it. Its start and its end are news, and said as all news is.
 */
export class Milestones {
  #quarter;
  #at;

  /**
   * @param {number} share  of the whole that is done, 0 to 1
   * @param {number} now  ms
   */
  constructor(share, now) {
    this.#quarter = Math.floor(share * 4);
    this.#at = now;
  }

  /**
   * The percent to speak of, or 0.
   * @param {number} share
   * @param {number} now  ms
   */
  reached(share, now) {
    const quarter = Math.floor(share * 4);
    if (quarter <= this.#quarter || quarter >= 4 || now - this.#at < PAUSE) return 0;
    this.#quarter = quarter;
    this.#at = now;
    return quarter * 25;
  }
}
