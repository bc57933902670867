import { Cell } from "../platform/cell.js";

/**
 * What the tabs of this origin have learned of the network that they are in:
 * which transport can be had, and for how long a silent connection stands.
 * It holds for half an hour.
 *
 * @typedef {{name?: string, quiet?: number, until: number}} Lesson
 */

const KEY = "notify:network:1";

const LIFE = 30 * 60_000;

/** Shorter than this, it was something else that cut the connection. */
const LEAST = 3_000;

export class Network {
  #cell = new Cell("localStorage", KEY);
  /** @type {Lesson} */
  #lesson = { until: 0 };
  /** After which silence the last connection was cut, in ms. */
  #quiet = 0;

  /** The name of the transport that was had last, if that is still to be gone by. */
  get winner() {
    return this.#read().name;
  }

  /** How often a connection should carry something so that nobody cuts it, in ms; Infinity: as it likes. */
  get beat() {
    const { quiet = Infinity } = this.#read();
    return quiet / 2;
  }

  /** @param {string} name  of a transport that was had */
  remember(name) {
    const lesson = this.#read();
    // What is only gone by is not learned anew.
    if (lesson.name !== name) this.#write({ ...lesson, name });
  }

  /**
   * Cut twice after the same silence: it was the silence.
   * @param {number} quiet  ms of silence after which a connection was cut
   */
  suspect(quiet) {
    if (Math.abs(quiet - this.#quiet) < quiet / 5) this.learn(quiet);
    this.#quiet = quiet;
  }

  /** @param {number} quiet  ms of silence after which a connection was cut */
  learn(quiet) {
    const lesson = this.#read();
    if (quiet >= LEAST && !(quiet >= (lesson.quiet ?? Infinity))) this.#write({ ...lesson, quiet });
  }

  /** @returns {Lesson} */
  #read() {
    // Forbidden, or never written: then this tab goes by what it knows itself.
    const lesson = this.#cell.read() ?? this.#lesson;
    const left = lesson.until - Date.now();
    return left > 0 && left <= LIFE ? lesson : { until: 0 };
  }

  /** @param {Lesson} lesson */
  #write(lesson) {
    this.#lesson = { ...lesson, until: Date.now() + LIFE };
    this.#cell.write(this.#lesson);
  }
}
