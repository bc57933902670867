/** There is no estimate before this share is done, or this many ms have passed. */
const SHARE = 0.05;
const TIME = 3_000;

/** The pace is averaged over about so many ms, or over all the time if that is less, so that one burst does not count as the pace. */
const SMOOTH = 5_000;

/** An estimate changes by more than this factor or not at all. Users do not trust one that grows and shrinks all the time. */
const CHANGE = 1.2;

/** For so many seconds after the estimated end the estimate stays at its shortest. */
const GRACE = 5;

/** Estimates from its pace how long a task will still take, without jumps. */
export class Eta {
  #since;
  #at;
  #done;
  /** The average of units per ms, multiplied by its weight: from 0 to 1, how much of the average is known. */
  #pace = 0;
  #weight = 0;
  /** The estimated end that was shown last. */
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
   * Note how much is done by now.
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
    const [left, shown] = [end - now, this.#end - now];
    if (left < shown / CHANGE || left > shown * CHANGE) this.#end = end;
  }

  /**
   * The seconds that are left, in steps that a user can follow, or null if there is no estimate.
   * @param {number} now  ms
   */
  left(now) {
    const left = Math.round((this.#end - now) / 1_000);
    // The estimated end has long passed and the task has not ended, so the estimate was wrong.
    if (left < -GRACE || left === Infinity) return null;
    const step = left > 90 ? 60 : left > 20 ? 10 : 5;
    return Math.max(1, Math.ceil(left / step)) * step;
  }
}
