/** Nothing is foretold before so much is done, or so much time is over. */
const SHARE = 0.05;
const TIME = 3_000;

/** The pace is that of about so many ms: a burst is none. */
const SMOOTH = 5_000;

/** An estimate may grow only by more than this: one that grows and shrinks is read as a lie. */
const GROWTH = 1.2;

/**
 * How long a task will still take, as far as its pace tells; without jumps.
 */
export class Eta {
  #since;
  #at;
  #done;
  /** Units in a ms. */
  #pace = 0;
  /** When it ends, as it was said last. */
  #end = Infinity;

  /**
   * @param {number} done
   * @param {number} now  ms
   */
  constructor(done, now) {
    this.#since = this.#at = now;
    this.#done = done;
  }

  /**
   * So much is done by now.
   * @param {number} done
   * @param {number | null} total
   * @param {number} now  ms
   */
  update(done, total, now) {
    const time = now - this.#at;
    if (done <= this.#done || time <= 0) return;
    const pace = (done - this.#done) / time;
    const old = Math.exp(-time / SMOOTH);
    this.#pace = this.#pace ? old * this.#pace + (1 - old) * pace : pace;
    this.#at = now;
    this.#done = done;
    if (total === null || (done < total * SHARE && now - this.#since < TIME)) return;
    const end = now + (total - done) / this.#pace;
    if (end < this.#end || end - now > (this.#end - now) * GROWTH) this.#end = end;
  }

  /**
   * Seconds that are left, in steps that a reader can follow; null where nobody knows.
   * @param {number} now  ms
   */
  left(now) {
    const left = (this.#end - now) / 1_000;
    // Its time is over and it is not: whatever we said was wrong.
    if (left <= 0 || left === Infinity) return null;
    const step = left > 90 ? 60 : left > 20 ? 10 : 5;
    return Math.ceil(left / step) * step;
  }
}
