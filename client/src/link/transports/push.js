import { now } from "../../platform/clock.js";
import { Emitter, listen } from "../../platform/emitter.js";
import { CLOSE } from "../../protocol.js";
import { address, isOwn } from "./transport.js";

/** @import { Cursor } from "../../protocol.js" */
/** @import { Transport } from "./transport.js" */

/**
 * Holds a source open through which the server pushes documents: a WebSocket,
 * or a stream of server-sent events. A stream must not reconnect by itself: it
 * would ask again from its first cursor, and hide why the server refused it.
 * @implements {Transport}
 */
export class PushTransport extends Emitter {
  _greets = true;
  _used = 0;
  #life = new AbortController();
  /** @type {any} */
  #source;
  /** Reads for a stream. @type {Transport | undefined} */
  #reader;
  #options;

  /**
   * @param {object} options
   * @param {string} options.name
   * @param {new (url: URL) => EventTarget} options.Source
   * @param {string} options.path
   * @param {string} options.src  absolute address of notify's urls, with the source's scheme
   * @param {() => Cursor} options.cursor
   * @param {() => Transport} [options._reader]  makes what reads for a source that cannot send, when it opens and when it is asked
   */
  constructor(options) {
    super();
    this.#options = options;
    this.name = options.name;
  }

  open() {
    const { Source, path, src, cursor } = this.#options;
    const asked = cursor();
    try {
      this.#source = new Source(address(path, src, asked));
    } catch {
      // The browser has no such source, or the page forbids it. The event comes later, as that of any other end.
      return queueMicrotask(() => this.#end(CLOSE.lost));
    }
    let first = true;
    const on = (/** @type {string} */ type, /** @type {(event: any) => void} */ listener) => listen(this.#source, type, listener, this.#life.signal);
    on("open", () => this._emit("open"));
    on("message", ({ data }) => {
      const own = first && isOwn(asked, cursor());
      first = false;
      this.#receive(data, own);
    });
    on("ping", ({ data }) => this.#receive(data, false));
    // A stream sends the reason for its end in a document. Anything else throws here, and the stream is lost by the error that follows.
    on("close", ({ code, data }) => this.#end(code ?? JSON.parse(data).code));
    // A stream also ends with an error while the page is being left, in the task that then closes this transport.
    on("error", () => setTimeout(() => this.#explain()));
  }

  close() {
    this.#life.abort();
    this.#source?.close(1000);
    this.#reader?.close();
  }

  /** @param {object} document */
  send(document) {
    if (!this.#source?.send || this.#source.readyState !== 1) return false;
    this._used = now();
    this.#source.send(JSON.stringify(document));
    return true;
  }

  /** Nothing can be sent through a stream, so a reader asks beside it. Through a socket the `changes` command asks. */
  ask() {
    if (this.#reader) return this.#reader.ask();
    this.#reader = this.#options._reader?.();
    if (!this.#reader) return;
    this.#reader.on("message", ({ data, own }) => this.#receive(data, own));
    this.#reader.on("close", ({ code }) => this.#end(code));
    this.#reader.open();
  }

  /** A browser hides why it was refused a stream, so a read has to tell whether the session is over, for instance. */
  #explain() {
    if (this.#life.signal.aborted) return;
    if (this._used || !this.#options._reader) return this.#end(CLOSE.lost);
    this.#source.close();
    this.ask();
    this.#reader?.on("open", () => this.#end(CLOSE.lost));
  }

  /**
   * @param {string} data
   * @param {boolean} own
   */
  #receive(data, own) {
    this._used = now();
    this._emit("message", { data, own });
  }

  /** @param {number} code */
  #end(code) {
    if (this.#life.signal.aborted) return;
    this.close();
    this._emit("close", { code, _retryAfter: 0 });
  }
}
