/**
 * Tries one transport after the other, and does not wait for one to give up
 * before it starts the next: who hangs may be overtaken, and may still win.
 *
 * @import { Transport } from "./transports/transport.js"
 *
 * @typedef {object} Trial
 * @property {Transport} transport
 * @property {number} rung  of the ladder: 0 is the best
 */

/** The next one starts when this one was not healthy for so long. */
const HEAD_START = 2_500;

/** Nobody is waited for longer, so slow networks get their time. */
const PATIENCE = 10_000;

/** Who has said that it is only busy is waited for this long. */
const LONG_PATIENCE = 60_000;

/** @template {Trial} T */
export class Race {
  /** Those who run, in the order of their start. @type {Map<T, any>} */
  #trials = new Map();
  /** @type {number[]} */
  #waiting = [];
  /** @type {any} */
  #timer;
  #options;

  /**
   * @param {object} options
   * @param {(rung: number) => T} options.make
   * @param {(trial: T) => void} options.late  has had its time
   * @param {() => void} options.over  all have failed
   */
  constructor(options) {
    this.#options = options;
  }

  get isOn() {
    return this.#trials.size > 0;
  }

  /** @param {T} trial */
  has(trial) {
    return this.#trials.has(trial);
  }

  /** @param {number[]} rungs  in the order in which they are tried */
  run(rungs) {
    this.#waiting = rungs;
    this.#next();
  }

  /**
   * One is out. If it was the newest, the next does not wait for its time.
   * @param {T} trial
   */
  fail(trial) {
    const isNewest = [...this.#trials.keys()].at(-1) === trial;
    this.#drop(trial);
    if (isNewest) this.#next();
  }

  /**
   * One has won: only better ones go on.
   * @param {T} winner
   */
  win(winner) {
    this.#stop((trial) => trial.rung >= winner.rung, winner);
  }

  stop() {
    this.#stop(() => true);
  }

  /**
   * @param {(trial: T) => boolean} ends
   * @param {T} [winner]
   */
  #stop(ends, winner) {
    clearTimeout(this.#timer);
    this.#waiting = [];
    for (const trial of [...this.#trials.keys()].filter(ends)) {
      this.#drop(trial);
      if (trial !== winner) trial.transport.close();
    }
  }

  /**
   * One lives, and needs time: others would only make the server busier.
   * @param {T} trial
   */
  trust(trial) {
    if (!this.has(trial)) return;
    clearTimeout(this.#timer);
    this.#wait(trial, LONG_PATIENCE);
  }

  /**
   * @param {T} trial
   * @param {number} patience  ms
   */
  #wait(trial, patience) {
    clearTimeout(this.#trials.get(trial));
    this.#trials.set(trial, setTimeout(() => this.#options.late(trial), patience));
  }

  /** @param {T} trial */
  #drop(trial) {
    clearTimeout(this.#trials.get(trial));
    this.#trials.delete(trial);
  }

  #next() {
    clearTimeout(this.#timer);
    const rung = this.#waiting.shift();
    if (rung === undefined) return this.isOn || this.#options.over();
    const trial = this.#options.make(rung);
    this.#wait(trial, PATIENCE);
    this.#timer = setTimeout(() => this.#next(), HEAD_START);
    trial.transport.open();
  }
}
