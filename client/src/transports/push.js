import { CLOSE } from "../protocol.js";
import { address, Closed, Heard, isOwn } from "./transport.js";

/** @import { Cursor } from "../protocol.js" */
/** @import { Transport } from "./transport.js" */

/**
 * Holds a source open, by which the server speaks: a WebSocket, or a stream of
 * server-sent events. A stream never reconnects by itself: it would ask from
 * where it began, and it does not say why it was refused.
 * @implements {Transport}
 */
export class PushTransport extends EventTarget {
  greets = true;
  used = 0;
  #life = new AbortController();
  /** @type {any} */
  #source;
  /** @type {Transport | undefined} */
  #reader;

  /**
   * @param {object} options
   * @param {string} options.name
   * @param {new (url: URL) => EventTarget} options.Source
   * @param {string} options.path
   * @param {string} options.src  absolute address of notify's urls, with the source's scheme
   * @param {() => Cursor} options.cursor
   * @param {() => Transport} [options.reader]  for a source that cannot be asked: reads when it opens and when it is asked
   */
  constructor({ name, Source, path, src, cursor, reader }) {
    super();
    this.name = name;
    this.Source = Source;
    this.path = path;
    this.src = src;
    this.cursor = cursor;
    this.reader = reader;
  }

  open() {
    const asked = this.cursor();
    try {
      this.#source = new this.Source(address(this.path, this.src, asked));
    } catch {
      // The browser has none, or the page forbids it; said later, as of any other end.
      return queueMicrotask(() => this.#end(CLOSE.LOST));
    }
    let first = true;
    this.#listen("open", () => this.dispatchEvent(new Event("open")));
    this.#listen("message", ({ data }) => {
      const own = first && isOwn(asked, this.cursor());
      first = false;
      this.#hear(data, own);
    });
    this.#listen("ping", ({ data }) => this.#hear(data, false));
    // A stream says in a document why it ends. What is none throws, and then the stream is lost.
    this.#listen("close", ({ code, data }) => this.#end(code ?? JSON.parse(data).code));
    this.#listen("error", () => this.#end(CLOSE.LOST));
  }

  close() {
    this.#life.abort();
    this.#source?.close(1000);
    this.#reader?.close();
  }

  /** @param {string} text */
  send(text) {
    if (!this.#source?.send || this.#source.readyState !== 1) return false;
    this.used = Date.now();
    this.#source.send(text);
    return true;
  }

  /** A stream cannot be asked, so the question goes beside it; over a socket the `changes` command asks. */
  ask() {
    if (this.#reader || !this.reader) return this.#reader?.ask();
    this.#reader = this.reader();
    this.#reader.addEventListener("message", (event) => {
      const { data, own } = /** @type {Heard} */ (event);
      this.#hear(data, own);
    });
    this.#reader.addEventListener("close", (event) => this.#end(/** @type {Closed} */ (event).code));
    this.#reader.open();
  }

  /**
   * @param {string} type
   * @param {(event: any) => void} listener
   */
  #listen(type, listener) {
    this.#source.addEventListener(type, listener, { signal: this.#life.signal });
  }

  /**
   * @param {string} data
   * @param {boolean} own
   */
  #hear(data, own) {
    this.used = Date.now();
    this.dispatchEvent(new Heard(data, own));
  }

  /** @param {number} code */
  #end(code) {
    if (this.#life.signal.aborted) return;
    this.close();
    this.dispatchEvent(new Closed(code));
  }
}
