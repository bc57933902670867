import { Closed } from "./transport.js";

/** @import { Cursor } from "../protocol.js" */
/** @import { Transport } from "./transport.js" */

/** Documents both ways over one socket. @implements {Transport} */
export class WebSocketTransport extends EventTarget {
  name = "websocket";
  greets = true;
  /** @type {WebSocket | null} */
  #socket = null;

  /**
   * @param {object} options
   * @param {string} options.src      absolute address of notify's urls
   * @param {() => Cursor} options.cursor
   * @param {typeof WebSocket} [options.WebSocket]
   */
  constructor({ src, cursor, WebSocket = globalThis.WebSocket }) {
    super();
    this.src = src;
    this.cursor = cursor;
    this.WebSocket = WebSocket;
  }

  open() {
    const url = new URL("ws/", this.src);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const cursor = this.cursor();
    if (cursor !== null) url.searchParams.set("since", cursor);
    try {
      this.#socket = new this.WebSocket(url);
    } catch {
      // A policy of the page forbids sockets; said later, as of any other end.
      queueMicrotask(() => this.dispatchEvent(new Closed(1006)));
      return;
    }
    const socket = this.#socket;
    socket.addEventListener("open", () => this.#isMine(socket) && this.dispatchEvent(new Event("open")));
    socket.addEventListener("message", ({ data }) => this.#isMine(socket) && this.dispatchEvent(new MessageEvent("message", { data })));
    socket.addEventListener("close", ({ code }) => {
      if (!this.#isMine(socket)) return;
      this.#socket = null;
      this.dispatchEvent(new Closed(code));
    });
  }

  close() {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
  }

  /** @param {string} text */
  send(text) {
    if (this.#socket?.readyState !== 1) return false;
    this.#socket.send(text);
    return true;
  }

  /** A socket is told; the `changes` command asks over it. */
  ask() {}

  /** @param {WebSocket} socket */
  #isMine(socket) {
    return this.#socket === socket;
  }
}
