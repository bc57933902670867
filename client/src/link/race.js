import { Timer } from "../platform/timer.js";

/**
 * Tries one transport after the other, and does not wait for one to give up
 * before it starts the next: a transport that hangs may be overtaken, and may
 * still win.
 *
 * @import { Transport } from "./transports/transport.js"
 *
 * @typedef {object} Trial
 * @property {Transport} transport
 * @property {number} _rung  of the ladder; 0 is the best
 */

/** The next trial starts if this one is not healthy after so many ms. */
const HEAD_START = 2_500;

/** A trial has this long to become healthy, which is enough on a slow network. */
const PATIENCE = 10_000;

/** A trial whose server has answered that it is busy has this long. */
const LONG_PATIENCE = 60_000;

/** @template {Trial} T */
export class Race {
  /** The running trials, in the order of their start. @type {Map<T, Timer>} */
  #trials = new Map();
  /** @type {number[]} */
  #waiting = [];
  #headStart = new Timer();
  #options;

  /**
   * @param {object} options
   * @param {(rung: number) => T} options._make
   * @param {(trial: T) => void} options.late  called when a trial has had its time
   * @param {() => void} options.over  called when all trials have failed
   */
  constructor(options) {
    this.#options = options;
  }

  get _isOn() {
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
   * Drop a trial that has failed. If it was the newest, the next one starts at once.
   * @param {T} trial
   */
  fail(trial) {
    const isNewest = [...this.#trials.keys()].at(-1) === trial;
    this.#drop(trial);
    if (isNewest) this.#next();
  }

  /**
   * End the race: for the winner and for all that are no better, or for all. Better ones go on.
   * @param {T} [winner]
   */
  stop(winner) {
    this.#headStart.stop();
    this.#waiting = [];
    for (const trial of [...this.#trials.keys()]) {
      if (winner && trial._rung < winner._rung) continue;
      this.#drop(trial);
      if (trial !== winner) trial.transport.close();
    }
  }

  /**
   * Give more time to a trial whose server is alive but busy, and start no other: that would add to its load.
   * @param {T} trial
   */
  _trust(trial) {
    if (!this.has(trial)) return;
    this.#headStart.stop();
    this.#wait(trial, LONG_PATIENCE);
  }

  /**
   * @param {T} trial
   * @param {number} patience  ms
   */
  #wait(trial, patience) {
    this.#trials.get(trial)?.start(patience, () => this.#options.late(trial));
  }

  /** @param {T} trial */
  #drop(trial) {
    this.#trials.get(trial)?.stop();
    this.#trials.delete(trial);
  }

  #next() {
    this.#headStart.stop();
    const rung = this.#waiting.shift();
    if (rung === undefined) return this._isOn || this.#options.over();
    const trial = this.#options._make(rung);
    this.#trials.set(trial, new Timer());
    this.#wait(trial, PATIENCE);
    this.#headStart.start(HEAD_START, () => this.#next());
    trial.transport.open();
  }
}
