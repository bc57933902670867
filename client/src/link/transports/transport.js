/**
 * What every transport is: an emitter that speaks the platform's words.
 *
 *     open      it answered          message   {data: text, own}: one document
 *     close     it ended: {code, retryAfter}; nothing comes after it
 *     rename    its name changed, because it stands for another
 *
 * A transport lives once: opened, closed, thrown away. After `close()` is
 * called on it, it is silent.
 *
 * @import { Emitter } from "../../platform/emitter.js"
 * @import { Cursor } from "../../protocol.js"
 *
 * @typedef {object} Skills
 * @property {string} name
 * @property {boolean} greets  its first document is a welcome, with a heartbeat
 * @property {() => void} open
 * @property {() => void} close
 * @property {(text: string) => boolean} send  whether the document is on its way
 * @property {() => void} ask  read now, rather than when it is due
 * @property {() => void} [wake]  the page or the network is back; absent where nothing depends on it
 * @property {number} [used]  when it last carried anything, by Date.now(); absent where silence says nothing
 *
 * @typedef {object} Heard
 * @property {string} data
 * @property {boolean} own  it answers this tab's own question, and may lower its cursor
 *
 * @typedef {object} Closed
 * @property {number} code  of the WebSocket, or one of ours
 * @property {number} retryAfter  ms that the server asks for
 *
 * @typedef {Emitter<{open: null, message: Heard, close: Closed, rename: null}> & Skills} Transport
 */

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
