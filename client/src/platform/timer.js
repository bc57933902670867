/** A timer of a browser whose ms do not fit into 31 bits does not wait at all. */
const MOST = 2e9;

/** A timeout that is replaced when it is started again. */
export class Timer {
  /** @type {any} */
  #timeout;

  /**
   * @param {number} delay  ms
   * @param {() => void} callback
   */
  start(delay, callback) {
    this.stop();
    this.#timeout = setTimeout(callback, Math.min(delay, MOST));
  }

  stop() {
    clearTimeout(this.#timeout);
  }
}
