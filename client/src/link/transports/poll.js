import { Emitter } from "../../platform/emitter.js";
import { CLOSE } from "../../protocol.js";
import { address, isOwn } from "./transport.js";

/** @import { Cursor } from "../../protocol.js" */
/** @import { Transport } from "./transport.js" */

/** How long the server is asked to hold a question, in seconds. */
const WAIT = 25;

/** The least time between two questions that are held, in ms. */
const PAUSE = 250;

/** A question that takes longer than this, and than it is held, is lost. */
const PATIENCE = 10_000;

/** What a question that is not held may take beyond that, in seconds. */
const SLOW = 20;

/** Nobody looks at a hidden tab, so it asks this many times less often. */
const HIDDEN_FACTOR = 6;

/**
 * Asks every few seconds, one question at a time; or, where it can be held,
 * again as soon as it is answered: then it is a long poll. Works wherever HTTP
 * does.
 * @implements {Transport}
 */
export class PollTransport extends Emitter {
  greets = false;
  /** @type {number | undefined} */
  used;
  #open = false;
  #answered = false;
  #again = false;
  #asked = 0;
  /** @type {AbortController | null} */
  #question = null;
  /** @type {any} */
  #timer;
  #options;

  /**
   * @param {object} options
   * @param {string} options.src      absolute address of notify's urls
   * @param {() => Cursor} options.cursor
   * @param {number} [options.interval]  seconds; Infinity: only when asked
   * @param {() => number} [options.hold]  asks the server to hold its questions, for so many ms at the most
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
    clearTimeout(this.#timer);
    this.#question?.abort();
    this.#question = null;
  }

  /** Commands go by POST. */
  send() {
    return false;
  }

  ask() {
    if (!this.#open) return;
    // The wall clock decides: no timer runs while a laptop sleeps.
    if (this.#question && Date.now() < this.#asked + this.#patience) this.#again = true;
    else {
      this.#question?.abort();
      this.#read();
    }
  }

  wake() {
    this.ask();
  }

  /** How long the question is held, in seconds. The first one is not: it shows that there is a way. */
  get #wait() {
    const { hold } = this.#options;
    return hold && (this.#answered ? Math.min(WAIT, Math.floor(hold() / 1000)) : 0);
  }

  get #patience() {
    return (this.#wait ?? SLOW) * 1000 + PATIENCE;
  }

  async #read() {
    clearTimeout(this.#timer);
    const question = new AbortController();
    this.#question = question;
    this.#again = false;
    this.#asked = Date.now();
    const { src, cursor, hold } = this.#options;
    const since = cursor();
    const url = address("changes/", src, since);
    if (hold) {
      url.searchParams.set("wait", String(this.#wait));
      this.used = this.#asked;
    }
    const patience = setTimeout(() => question.abort(), this.#patience);
    /** @type {Response | null} */
    let response = null;
    let text = "";
    try {
      response = await fetch(url, {
        // Chrome asks equal questions of several tabs one after the other if a cache could answer them.
        cache: "no-store",
        signal: question.signal,
      });
      text = await response.text();
    } catch {
      response = null;
    }
    clearTimeout(patience);
    if (this.#question !== question) return;
    this.#question = null;
    // Who cannot hold a question says when to ask again.
    if (response?.ok && !(hold && response.headers.has("Retry-After"))) this.#take(text, isOwn(since, cursor()));
    else this.#end(response, text);
  }

  /**
   * @param {string} text  "": nothing is new
   * @param {boolean} own
   */
  #take(text, own) {
    if (!this.#answered) {
      this.#answered = true;
      this.emit("open");
    }
    if (text && this.#open) this.emit("message", { data: text, own });
    if (!this.#open || this.#question) return;
    if (this.#again) this.#read();
    else this.#rest();
  }

  #rest() {
    clearTimeout(this.#timer);
    const { hold, interval = 5, document } = this.#options;
    const wait = hold ? PAUSE : interval * 1000 * (document.hidden ? HIDDEN_FACTOR : 1) * (0.8 + 0.4 * Math.random());
    const due = this.#asked + wait - Date.now();
    if (due < Infinity) this.#timer = setTimeout(() => this.#read(), due);
  }

  /**
   * @param {Response | null} response
   * @param {string} text
   */
  #end(response, text) {
    let code = response?.status === 401 || response?.status === 403 ? CLOSE.NOT_SIGNED_IN : CLOSE.LOST;
    try {
      code = CLOSE[JSON.parse(text).code.toUpperCase()] ?? code;
    } catch {
      // Whoever answered is not notify.
    }
    this.close();
    this.emit("close", { code, retryAfter: retryAfter(response) });
  }
}

/**
 * The wait in ms that the server asks for, in seconds or as a date.
 * @param {Response | null} response
 */
function retryAfter(response) {
  const value = response?.headers.get("Retry-After") ?? "";
  const wait = Number(value) * 1000 || Date.parse(value) - Date.now();
  return wait > 0 ? wait : 0;
}
