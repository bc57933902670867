import { CLOSE } from "../protocol.js";
import { Closed } from "./transport.js";

/** @import { Cursor } from "../protocol.js" */
/** @import { Transport } from "./transport.js" */

/** A question that takes longer than this is lost. */
const PATIENCE = 30_000;

/** Nobody looks at a hidden tab, so it asks this many times less often. */
const HIDDEN_FACTOR = 6;

/** Asks every few seconds, one question at a time. Works wherever HTTP does. @implements {Transport} */
export class PollTransport extends EventTarget {
  name = "poll";
  greets = false;
  #open = false;
  #answered = false;
  #again = false;
  #asked = 0;
  /** A cursor that the server cannot read is asked for only once. */
  #forgetCursor = false;
  /** @type {AbortController | null} */
  #question = null;
  /** @type {any} */
  #timer;
  #look = () => {
    // A tab that comes to the front should not wait for the slow beat to end.
    if (!this.document.hidden) this.#wait();
  };

  /**
   * @param {object} options
   * @param {string} options.src      absolute address of notify's urls
   * @param {() => Cursor} options.cursor
   * @param {number} [options.interval]  seconds
   * @param {EventTarget & {hidden?: boolean}} options.document
   * @param {typeof fetch} [options.fetch]
   * @param {() => number} [options.random]
   */
  constructor({ src, cursor, interval = 5, document, fetch = globalThis.fetch, random = Math.random }) {
    super();
    this.src = src;
    this.cursor = cursor;
    this.interval = interval * 1000;
    this.document = document;
    // Called as a plain function: window.fetch refuses any other `this`.
    this.fetch = /** @type {typeof fetch} */ ((...args) => fetch(...args));
    this.random = random;
  }

  open() {
    this.#open = true;
    this.document.addEventListener("visibilitychange", this.#look);
    this.#read();
  }

  close() {
    this.#open = false;
    clearTimeout(this.#timer);
    this.#question?.abort();
    this.#question = null;
    this.document.removeEventListener("visibilitychange", this.#look);
  }

  /** Commands go by POST. */
  send() {
    return false;
  }

  ask() {
    if (this.#question) this.#again = true;
    else if (this.#open) this.#read();
  }

  async #read() {
    clearTimeout(this.#timer);
    const question = new AbortController();
    this.#question = question;
    this.#again = false;
    this.#asked = Date.now();
    const patience = setTimeout(() => question.abort(), PATIENCE);
    /** @type {Response | null} */
    let response = null;
    let text = "";
    try {
      response = await this.fetch(this.#url(), {
        credentials: "same-origin",
        headers: { Accept: "application/json" },
        cache: "no-store",
        signal: question.signal,
      });
      if (response.status === 200) text = await response.text();
    } catch {
      response = null;
    }
    clearTimeout(patience);
    if (this.#question !== question) return;
    this.#question = null;
    this.#take(response, text);
  }

  /**
   * @param {Response | null} response
   * @param {string} text
   */
  #take(response, text) {
    const status = response?.status ?? 0;
    if (status === 401 || status === 403) return this.#end(CLOSE.NOT_SIGNED_IN);
    if (status === 400 && !this.#forgetCursor && this.cursor() !== null) {
      this.#forgetCursor = true;
      return this.#read();
    }
    if (status !== 200 && status !== 204) return this.#end(CLOSE.LOST, retryAfter(response));
    this.#forgetCursor = false;
    if (!this.#answered) {
      this.#answered = true;
      this.dispatchEvent(new Event("open"));
    }
    if (status === 200 && this.#open) this.dispatchEvent(new MessageEvent("message", { data: text }));
    if (!this.#open || this.#question) return;
    if (this.#again) this.#read();
    else this.#wait();
  }

  #wait() {
    if (this.#question || !this.#open) return;
    clearTimeout(this.#timer);
    const interval = this.document.hidden ? this.interval * HIDDEN_FACTOR : this.interval;
    const due = this.#asked + interval * (0.8 + 0.4 * this.random());
    this.#timer = setTimeout(() => this.#read(), Math.max(0, due - Date.now()));
  }

  #url() {
    const url = new URL("changes/", this.src);
    const cursor = this.cursor();
    if (cursor !== null && !this.#forgetCursor) url.searchParams.set("since", cursor);
    return url;
  }

  /**
   * @param {number} code
   * @param {number} [wait]
   */
  #end(code, wait) {
    this.close();
    this.dispatchEvent(new Closed(code, wait));
  }
}

/**
 * The wait in ms that the server asks for, in seconds or as a date.
 * @param {Response | null} response
 */
function retryAfter(response) {
  const value = response?.headers.get("Retry-After");
  if (!value) return 0;
  const wait = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return wait > 0 ? wait : 0;
}
