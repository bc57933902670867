import { now } from "../../platform/clock.js";
import { Emitter } from "../../platform/emitter.js";
import { parseJson } from "../../platform/json.js";
import { Timer } from "../../platform/timer.js";
import { CLOSE } from "../../protocol.js";
import { address, isOwn, request } from "./transport.js";

/** @import { Cursor } from "../../protocol.js" */
/** @import { Transport } from "./transport.js" */

/** How long the server is asked to hold a question, in seconds. */
const WAIT = 25;

/** The least time between two questions that are held, in ms. */
const PAUSE = 250;

/** A question is lost if it takes this many ms longer than it is held. */
const PATIENCE = 10_000;

/** A question that is not held may take this many seconds more. */
const SLOW = 20;

/** A hidden tab asks this many times less often, because nobody looks at it. */
const HIDDEN_FACTOR = 6;

/**
 * Asks every few seconds, one question at a time. If the server can hold a
 * question it asks again as soon as it has an answer: then it is a long poll.
 * Works wherever HTTP does.
 * @implements {Transport}
 */
export class PollTransport extends Emitter {
  _greets = false;
  /** @type {number | undefined} */
  _used;
  #open = false;
  #answered = false;
  #again = false;
  #asked = 0;
  /** @type {AbortController | null} */
  #question = null;
  #timer = new Timer();
  #options;

  /**
   * @param {object} options
   * @param {string} options.src      absolute address of notify's urls
   * @param {() => Cursor} options.cursor
   * @param {number} [options.interval]  seconds, 5 if 0; Infinity: only when asked
   * @param {() => number} [options.hold]  how long the server may hold a question, in ms; without it none is held
   * @param {{hidden?: boolean}} options.document
   */
  constructor(options) {
    super();
    this.#options = options;
    this.name = options.hold ? "longpoll" : "poll";
  }

  open() {
    this.#open = true;
    this.#read();
  }

  close() {
    this.#open = false;
    this.#timer.stop();
    this.#question?.abort();
    this.#question = null;
  }

  /** Commands go by POST. */
  send() {
    return false;
  }

  ask() {
    if (!this.#open) return;
    // The clock decides, because no timer runs while a laptop sleeps.
    if (this.#question && now() < this.#asked + this.#patience) this.#again = true;
    else {
      this.#question?.abort();
      this.#read();
    }
  }

  wake() {
    this.ask();
  }

  /** How long the question is held, in seconds. The first is not held, so that its answer shows at once that the way is open. */
  get #wait() {
    const { hold } = this.#options;
    return hold && (this.#answered ? Math.min(WAIT, Math.floor(hold() / 1000)) : 0);
  }

  get #patience() {
    return (this.#wait ?? SLOW) * 1000 + PATIENCE;
  }

  async #read() {
    this.#timer.stop();
    const question = new AbortController();
    this.#question = question;
    this.#again = false;
    this.#asked = now();
    const { src, cursor, hold } = this.#options;
    const since = cursor();
    const url = address("changes/", src, since);
    if (hold) {
      url.searchParams.set("wait", String(this.#wait));
      this._used = this.#asked;
    }
    const patience = setTimeout(() => question.abort(), this.#patience);
    // Chrome sends equal questions of several tabs one after the other if a cache could answer them.
    const { response, text } = await request(url, { cache: "no-store", signal: question.signal });
    clearTimeout(patience);
    if (this.#question !== question) return;
    this.#question = null;
    // A server that cannot hold the question answers with the time to ask again.
    if (response?.ok && !(hold && response.headers.has("Retry-After"))) this.#take(text, isOwn(since, cursor()));
    else this.#end(response, text);
  }

  /**
   * @param {string} text  empty if nothing is new
   * @param {boolean} own
   */
  #take(text, own) {
    if (!this.#answered) {
      this.#answered = true;
      this._emit("open");
    }
    if (text && this.#open) this._emit("message", { data: text, own });
    if (!this.#open || this.#question) return;
    if (this.#again) this.#read();
    else this.#rest();
  }

  #rest() {
    const { hold, interval, document } = this.#options;
    const wait = hold ? PAUSE : (interval || 5) * 1000 * (document.hidden ? HIDDEN_FACTOR : 1) * (0.8 + 0.4 * Math.random());
    const due = this.#asked + wait - now();
    if (due < Infinity) this.#timer.start(due, () => this.#read());
  }

  /**
   * @param {Response | null} response
   * @param {string} text
   */
  #end(response, text) {
    // If the answer is not one of notify's, but of a proxy for instance, only its status counts.
    const isRefused = response?.status === 401 || response?.status === 403;
    const code = CLOSE[parseJson(text)?.code] ?? (isRefused ? CLOSE.not_signed_in : CLOSE.lost);
    this.close();
    this._emit("close", { code, _retryAfter: retryAfter(response) });
  }
}

/**
 * The wait in ms that the server asks for, in seconds or as a date.
 * @param {Response | null} response
 */
function retryAfter(response) {
  const value = response?.headers.get("Retry-After") ?? "";
  const wait = Number(value) * 1000 || Date.parse(value) - Date.parse(response?.headers.get("Date") ?? "");
  return wait > 0 ? wait : 0;
}
