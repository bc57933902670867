/**
 * What every transport is: an EventTarget that speaks the platform's words.
 *
 *     open      it answered          message   {data: text}
 *     close     it ended: {code, retryAfter}; nothing comes after it
 *
 * A transport lives once: opened, closed, thrown away. After `close()` is
 * called on it, it is silent.
 *
 * @typedef {object} Skills
 * @property {string} name
 * @property {boolean} greets  its first document is a welcome, with a heartbeat
 * @property {() => void} open
 * @property {() => void} close
 * @property {(text: string) => boolean} send  whether the document is on its way
 * @property {() => void} ask  read now, rather than when it is due
 *
 * @typedef {EventTarget & Skills} Transport
 */

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
