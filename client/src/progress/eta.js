/** Nothing is foretold before so much is done, or so much time is over. */
const SHARE = 0.05;
const TIME = 3_000;

/** The pace is that of about so many ms, or of all the time where that is less: a burst is none. */
const SMOOTH = 5_000;

/** An estimate changes by more than this or not at all: one that grows and shrinks is read as a lie. */
const CHANGE = 1.2;

/** For so many seconds after the end that was said, a moment is still left. */
const GRACE = 5;

/**
 * How long a task will still take, as far as its pace tells; without jumps.
 */
export class Eta {
  #since;
  #at;
  #done;
  /** Units in a ms, and how much is known of them, from 0 to 1, by which they are multiplied. */
  #pace = 0;
  #weight = 0;
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
    this.#pace = old * this.#pace + (1 - old) * pace;
    this.#weight = old * this.#weight + 1 - old;
    this.#at = now;
    this.#done = done;
    if (total === null || (done < total * SHARE && now - this.#since < TIME)) return;
    const end = now + ((total - done) / this.#pace) * this.#weight;
    const [left, said] = [end - now, this.#end - now];
    if (left < said / CHANGE || left > said * CHANGE) this.#end = end;
  }

  /**
   * Seconds that are left, in steps that a reader can follow; null where nobody knows.
   * @param {number} now  ms
   */
  left(now) {
    const left = Math.round((this.#end - now) / 1_000);
    // Its time is long over and it is not: whatever we said was wrong.
    if (left < -GRACE || left === Infinity) return null;
    const step = left > 90 ? 60 : left > 20 ? 10 : 5;
    return Math.max(1, Math.ceil(left / step)) * step;
  }
}
