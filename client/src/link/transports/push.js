import { Emitter, listen } from "../../platform/emitter.js";
import { CLOSE } from "../../protocol.js";
import { address, isOwn } from "./transport.js";

/** @import { Cursor } from "../../protocol.js" */
/** @import { Transport } from "./transport.js" */

/**
 * Holds a source open, by which the server speaks: a WebSocket, or a stream of
 * server-sent events. A stream never reconnects by itself: it would ask from
 * where it began, and it does not say why it was refused.
 * @implements {Transport}
 */
export class PushTransport extends Emitter {
  greets = true;
  used = 0;
  #life = new AbortController();
  /** @type {any} */
  #source;
  /** @type {Transport | undefined} */
  #reader;
  #options;

  /**
   * @param {object} options
   * @param {string} options.name
   * @param {new (url: URL) => EventTarget} options.Source
   * @param {string} options.path
   * @param {string} options.src  absolute address of notify's urls, with the source's scheme
   * @param {() => Cursor} options.cursor
   * @param {() => Transport} [options.reader]  for a source that cannot be asked: reads when it opens and when it is asked
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
      // The browser has none, or the page forbids it; said later, as of any other end.
      return queueMicrotask(() => this.#end(CLOSE.LOST));
    }
    let first = true;
    const on = (/** @type {string} */ type, /** @type {(event: any) => void} */ listener) => listen(this.#source, type, listener, this.#life.signal);
    on("open", () => this.emit("open"));
    on("message", ({ data }) => {
      const own = first && isOwn(asked, cursor());
      first = false;
      this.#hear(data, own);
    });
    on("ping", ({ data }) => this.#hear(data, false));
    // A stream says in a document why it ends. What is none throws, and then the stream is lost.
    on("close", ({ code, data }) => this.#end(code ?? JSON.parse(data).code));
    on("error", () => this.#end(CLOSE.LOST));
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
    if (this.#reader) return this.#reader.ask();
    this.#reader = this.#options.reader?.();
    if (!this.#reader) return;
    this.#reader.on("message", ({ data, own }) => this.#hear(data, own));
    this.#reader.on("close", ({ code }) => this.#end(code));
    this.#reader.open();
  }

  /**
   * @param {string} data
   * @param {boolean} own
   */
  #hear(data, own) {
    this.used = Date.now();
    this.emit("message", { data, own });
  }

  /** @param {number} code */
  #end(code) {
    if (this.#life.signal.aborted) return;
    this.close();
    this.emit("close", { code, retryAfter: 0 });
  }
}
