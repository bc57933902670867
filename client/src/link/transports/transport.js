/**
 * The interface of every transport: an emitter of events with the platform's names.
 *
 *     open      it was answered      message   {data: text, own}: one document
 *     close     it ended: {code, retryAfter}; nothing is emitted after that
 *     rename    its name changed, because it stands for another transport
 *
 * A transport lives once: it is opened, closed, and thrown away. After a call
 * of `close()` it emits nothing.
 *
 * @import { Emitter } from "../../platform/emitter.js"
 * @import { Cursor } from "../../protocol.js"
 *
 * @typedef {object} Skills
 * @property {string} name
 * @property {boolean} _greets  whether its first document is a welcome, with a heartbeat
 * @property {() => void} open
 * @property {() => void} close
 * @property {(document: object) => boolean} send  returns whether the document is on its way
 * @property {() => void} ask  read now, rather than when the next read is due
 * @property {() => void} [wake]  called when the page or the network is back; absent if that makes no difference
 * @property {number} [_used]  when it last carried anything, by now(); absent if silence means nothing
 *
 * @typedef {object} Received
 * @property {string} data
 * @property {boolean} own  whether it answers this tab's own question, and may lower its cursor
 *
 * @typedef {object} Closed
 * @property {number} code  of the WebSocket, or one of ours
 * @property {number} _retryAfter  ms that the server asks the client to wait
 *
 * @typedef {Emitter<{open: null, message: Received, close: Closed, rename: null}> & Skills} Transport
 */

/**
 * The address of one of notify's views.
 * @param {string} path
 * @param {string} src  absolute address of notify's urls, with the parameters that all of them get
 * @param {Cursor} since
 */
export function address(path, src, since) {
  const url = new URL(src);
  url.pathname += path;
  if (since !== null) url.searchParams.set("since", since);
  return url;
}

/**
 * Returns true if an answer is still current. An answer to a question without a cursor
 * is old if another transport has given this tab a cursor meanwhile.
 * @param {Cursor} asked  the cursor in the question
 * @param {Cursor} now
 */
export function isOwn(asked, now) {
  return asked !== null || now === null;
}

/**
 * Fetch, where a middleware may redirect whoever is not signed in to its login page. That counts as our 401.
 * @param {URL} url
 * @param {RequestInit} options
 * @returns {Promise<{response: Response | null, text: string}>}  response: null if none came, or not all of it
 */
export async function request(url, options) {
  try {
    const response = await fetch(url, options);
    const text = await response.text();
    const isPage = response.redirected && /html/.test(response.headers.get("Content-Type") ?? "");
    return isPage ? { response: new Response(null, { status: 401 }), text: '{"code": "not_signed_in"}' } : { response, text };
  } catch {
    return { response: null, text: "" };
  }
}
