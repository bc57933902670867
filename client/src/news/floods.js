/** More toasts than these in so many ms are a flood. */
const MOST = 6;
const SPAN = 10_000;

/** Decides when notifications come too fast for a toast each. It ends by itself, once they come slowly again. */
export class Floods {
  /** When the last ones came. @type {number[]} */
  #times = [];

  /**
   * Returns whether this one is one too many.
   * @param {number} now
   */
  _isOver(now) {
    this.#times = [...this.#times, now].slice(-MOST - 1);
    return this.#times.length > MOST && now - this.#times[0] < SPAN;
  }
}
