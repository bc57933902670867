/** @typedef {{id: number, due: number, every: number, callback: () => void}} Timer */

/** The real functions, which `start` replaces. */
const { setTimeout, clearTimeout, setInterval, clearInterval } = globalThis;
const { now } = Date;
const steady = performance.now;

/**
 * A clock that stands still until the test moves it: `Date.now()`,
 * `performance.now()`, timeouts and intervals use it. Node's own mock timers have no dates before Node 20.
 */
class FakeClock {
  #now = 0;
  /** How far the wall clock was set forward, in ms. */
  #ahead = 0;
  #id = 0;
  /** @type {Map<number, Timer>} */
  #timers = new Map();

  /**
   * Replace the real clock until the test ends. Timers from an earlier
   * start are dropped.
   * @param {import("node:test").TestContext} t
   * @param {number} [time]  ms
   */
  start(t, time = 1_000_000) {
    this.#now = time;
    this.#ahead = 0;
    this.#timers.clear();
    const cancel = (/** @type {any} */ id) => this.#timers.delete(id);
    Object.assign(globalThis, {
      setTimeout: (/** @type {() => void} */ callback, delay = 0) => this.#add(callback, delay, 0),
      setInterval: (/** @type {() => void} */ callback, /** @type {number} */ delay) => this.#add(callback, delay, delay),
      clearTimeout: cancel,
      clearInterval: cancel,
    });
    Date.now = () => this.#now + this.#ahead;
    performance.now = () => this.#now;
    t.after(() => {
      Object.assign(globalThis, { setTimeout, clearTimeout, setInterval, clearInterval });
      Date.now = now;
      performance.now = steady;
    });
  }

  get time() {
    return this.#now;
  }

  /**
   * Let the time pass in one step, as while a laptop sleeps, and then run the
   * timers that are due, the earliest first. They all read the same time.
   * @param {number} time  ms
   */
  tick(time) {
    this.#now += time;
    this.#run(this.#now);
  }

  /**
   * Let the time pass, and run each timer at the time at which it is due.
   * @param {number} time  ms
   */
  pass(time) {
    const end = this.#now + time;
    this.#run(end);
    this.#now = end;
  }

  /** @param {number} end */
  #run(end) {
    for (let timer = this.#next(end); timer; timer = this.#next(end)) {
      this.#now = Math.max(this.#now, timer.due);
      if (timer.every) timer.due += timer.every;
      else this.#timers.delete(timer.id);
      timer.callback();
    }
  }

  /**
   * Set the time without running timers, as after a laptop's sleep.
   * @param {number} time  ms
   */
  set(time) {
    this.#now = time;
  }

  /**
   * Set the wall clock forward or back. The other clock and the timers go on.
   * @param {number} time  ms
   */
  step(time) {
    this.#ahead += time;
  }

  /**
   * @param {() => void} callback
   * @param {number} delay
   * @param {number} every
   */
  #add(callback, delay, every) {
    const id = ++this.#id;
    // A wait of more than 24 days does not fit into the 31 bits of a browser's timer, which then does not wait.
    const wait = delay < 2 ** 31 ? delay : 0;
    this.#timers.set(id, { id, due: this.#now + wait, every, callback });
    return id;
  }

  /** @param {number} end */
  #next(end) {
    const due = [...this.#timers.values()].filter((timer) => timer.due <= end);
    return due.sort((a, b) => a.due - b.due || a.id - b.id)[0];
  }
}

export const clock = new FakeClock();
