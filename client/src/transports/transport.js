/**
 * What every transport is: an EventTarget that speaks the platform's words.
 *
 *     open      it answered          message   Heard: {data: text, own}
 *     close     it ended: {code, retryAfter}; nothing comes after it
 *     rename    its name changed, because it stands for another
 *
 * A transport lives once: opened, closed, thrown away. After `close()` is
 * called on it, it is silent.
 *
 * @import { Cursor } from "../protocol.js"
 *
 * @typedef {object} Skills
 * @property {string} name
 * @property {boolean} greets  its first document is a welcome, with a heartbeat
 * @property {() => void} open
 * @property {() => void} close
 * @property {(text: string) => boolean} send  whether the document is on its way
 * @property {() => void} ask  read now, rather than when it is due
 * @property {boolean} [passing]  it is not to stay, so that it could be had teaches nothing
 * @property {() => void} [wake]  the page or the network is back; absent where nothing depends on it
 * @property {number} [used]  when it last carried anything, by Date.now(); absent where silence says nothing
 *
 * @typedef {EventTarget & Skills} Transport
 */

/** One document, as text. */
export class Heard extends Event {
  /**
   * @param {string} data
   * @param {boolean} own  it answers this tab's own question, and may lower its cursor
   */
  constructor(data, own) {
    super("message");
    this.data = data;
    this.own = own;
  }
}

/** The end of a transport, with the WebSocket's close code or one of ours. */
export class Closed extends Event {
  /**
   * @param {number} code
   * @param {number} [retryAfter]  ms that the server asks for
   */
  constructor(code, retryAfter = 0) {
    super("close");
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/**
 * Where one of notify's views is asked from a cursor.
 * @param {string} path
 * @param {string} src  absolute address of notify's urls
 * @param {Cursor} since
 */
export function address(path, src, since) {
  const url = new URL(path, src);
  if (since !== null) url.searchParams.set("since", since);
  return url;
}

/**
 * Whether an answer still answers: one to a question without a cursor is old
 * if another transport has given this tab a cursor meanwhile.
 * @param {Cursor} asked  the cursor when the question was put
 * @param {Cursor} now
 */
export function isOwn(asked, now) {
  return asked !== null || now === null;
}
