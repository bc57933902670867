import { Connection } from "./connection.js";
import { PollTransport } from "./transports/poll.js";
import { PushTransport } from "./transports/push.js";
import { SharedTransport } from "./transports/shared.js";

/**
 * @import { Rung } from "./connection.js"
 * @import { Network } from "./network.js"
 * @import { Tabs } from "./tabs.js"
 * @import { Kind } from "./transports/shared.js"
 * @import { Transport } from "./transports/transport.js"
 * @import { Cursor } from "../protocol.js"
 *
 * @typedef {object} Surroundings
 * @property {string} src  absolute address of notify's urls
 * @property {() => Cursor} cursor
 * @property {number} [pollInterval]  seconds
 * @property {Tabs} tabs
 * @property {Network} network
 * @property {EventTarget} window
 * @property {EventTarget & {hidden?: boolean}} document
 */

/**
 * The rungs of a connection, best first. Transports that tabs share are one
 * rung, at the place of the best of them.
 * @param {string[]} transports  names, best first
 * @param {string | null | undefined} share  "websocket" if tabs share that one, too
 * @param {Surroundings} surroundings
 * @returns {Rung[]}
 */
export function ladder(transports, share, surroundings) {
  const { tabs, cursor, window, document, network } = surroundings;
  const [reader, makers] = makersOf(surroundings);
  // A name of a later release is skipped. Polling is always possible.
  const known = transports.filter((name) => makers[name]);
  const names = known.length ? known : ["poll"];
  const common = names.filter((name) => tabs._together && (name !== "websocket" || share === name));
  const rungs = (/** @type {string[]} */ names) => names.map((name) => ({ names: [name], _make: makers[name] }));
  /** @type {Record<Kind, Rung[]>} */
  const ladders = { best: rungs(common), read: [{ names: [], _make: reader }] };
  const connect = (/** @type {Kind} */ kind) => new Connection({ ladder: ladders[kind], window, document, network });
  const shared = { names: common, _make: () => new SharedTransport({ tabs, document, cursor, connect }) };
  return names.flatMap((name) => (name === common[0] ? shared : common.includes(name) ? [] : rungs([name])));
}

/**
 * The makers of the transports that work here, and of the reader that reads only on request.
 * @param {Surroundings} surroundings
 * @returns {[reader: () => Transport, makers: Record<string, () => Transport>]}
 */
function makersOf({ src, cursor, pollInterval, tabs, network, document }) {
  const polling = { src, cursor, document };
  const reader = () => new PollTransport({ ...polling, interval: Infinity });
  const makers = /** @type {any} */ ({
    __proto__: null,
    websocket: () => new PushTransport({ name: "websocket", Source: globalThis.WebSocket, path: "ws/", src: src.replace("http", "ws"), cursor }),
    poll: () => new PollTransport({ ...polling, interval: pollInterval }),
    // A browser opens six connections to a host at the most, so tabs that cannot share one must not hold one each.
    ...(tabs._together && {
      sse: () => new PushTransport({ name: "sse", Source: globalThis.EventSource, path: "stream/", src, cursor, _reader: reader }),
      longpoll: () => new PollTransport({ ...polling, hold: () => network._beat }),
    }),
  });
  return [reader, makers];
}
