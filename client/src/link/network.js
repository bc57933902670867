import { StoredValue } from "../platform/stored-value.js";

/**
 * The lessons of the tabs of this origin about their network: which transport
 * works, and after which silence it cuts a connection.
 * Lessons are valid for half an hour.
 *
 * @typedef {{name?: string, quiet?: number, until: number}} Lesson
 */

const KEY = "notify:network:1";

const LIFE = 30 * 60_000;

/** After a shorter silence than this, the silence was not the reason that the connection was cut. */
const LEAST = 3_000;

export class Network {
  #stored = new StoredValue("localStorage", KEY);
  /** @type {Lesson} */
  #lesson = { until: 0 };
  /** The silence after which the last connection was cut, in ms. */
  #quiet = 0;

  /** The name of the transport that worked last, while that lesson is valid. */
  get _winner() {
    return this.#read().name;
  }

  /** How often a connection should carry something so that the network does not cut it, in ms. Infinity: it need not. */
  get _beat() {
    const { quiet = Infinity } = this.#read();
    return quiet / 2;
  }

  /** @param {string} name  of a transport that works */
  _remember(name) {
    const lesson = this.#read();
    // A tab that only followed the lesson must not prolong it.
    if (lesson.name !== name) this.#write({ ...lesson, name });
  }

  /**
   * Note that a connection was cut. If it happens twice after the same silence, the silence was the reason.
   * @param {number} quiet  ms of silence before it
   */
  _suspect(quiet) {
    const lesson = this.#read();
    const isRepeated = Math.abs(quiet - this.#quiet) < quiet / 5;
    if (isRepeated && quiet >= LEAST && quiet < (lesson.quiet ?? Infinity)) this.#write({ ...lesson, quiet });
    this.#quiet = quiet;
  }

  /** @returns {Lesson} */
  #read() {
    // If the storage is forbidden or empty, this tab uses the lesson that it has learned itself.
    const lesson = this.#stored.read() ?? this.#lesson;
    const left = lesson.until - Date.now();
    return left > 0 && left <= LIFE ? lesson : { until: 0 };
  }

  /** @param {Lesson} lesson */
  #write(lesson) {
    this.#lesson = { ...lesson, until: Date.now() + LIFE };
    this.#stored.write(this.#lesson);
  }
}
