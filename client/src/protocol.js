/**
 * The wire, version 1: cursors, the rule, documents and close codes. Pure: no
 * I/O, no clock. `notify/protocol.py` says the same in Python, and both are
 * held to tests/vectors/.
 *
 * @typedef {"debug" | "info" | "success" | "warning" | "error"} Level
 * @typedef {{label: string, url: string}} Action
 *
 * @typedef {"queued" | "running" | "cancelling" | "succeeded" | "failed" | "cancelled" | "lost"} TaskState
 *
 * @typedef {object} Progress  how far a task is
 * @property {TaskState} state
 * @property {number} done
 * @property {number | null} total
 * @property {string} message  what is being done just now
 * @property {number} attempt
 * @property {boolean} cancellable
 * @property {boolean} silent  nothing was heard of it for a while
 * @property {string | null} started_at
 * @property {string | null} ended_at  null: nobody has said how it ends
 *
 * @typedef {object} Notification
 * @property {number} id
 * @property {number} position  of the last change of any kind
 * @property {number} arrived   position at which the content last came
 * @property {Level} level
 * @property {string} category
 * @property {string} title
 * @property {string} message
 * @property {string} url
 * @property {Action[]} actions
 * @property {unknown} data
 * @property {string} key
 * @property {number} count
 * @property {string} created_at
 * @property {string} updated_at
 * @property {string | null} expires_at
 * @property {string | null} seen_at
 * @property {string | null} read_at
 * @property {string | null} archived_at
 * @property {string | null} dismissed_at
 * @property {Progress} [progress]  of a task
 *
 * @typedef {string | null} Cursor  `<epoch>:<position>`; null is below every cursor
 * @typedef {{unseen: number, unread: number}} Counts
 *
 * @typedef {object} Changes
 * @property {"changes"} type
 * @property {Cursor} since
 * @property {Cursor} cursor
 * @property {number} head
 * @property {Counts} counts
 * @property {Notification[]} notifications
 * @property {boolean} [reset]
 *
 * @typedef {{type: "welcome", version: number, heartbeat: number, changes: Changes}} Welcome
 * @typedef {{type: "ping" | "pong", cursor: Cursor, ref?: number | null}} Heartbeat
 * @typedef {{type: "ack", ref: number, cursor: Cursor}} Ack
 * @typedef {{type: "error", ref: number | null, code: string, message: string}} Failure
 * @typedef {{type: "tick", ticks: import("./progress/ticks.js").Tick[]}} Ticks
 * @typedef {Changes | Welcome | Ticks | Heartbeat | Ack | Failure} Document
 *
 * @typedef {[id: number, arrived: number]} Shown  a notification as the user saw it
 * @typedef {"seen" | "read" | "archived" | "dismissed" | "cancel"} Mark  cancel: ask the task behind it to end
 *
 * @typedef {object} Command
 * @property {Mark | "seen_all" | "read_all" | "archived_all" | "dismissed_all" | "changes"} type
 * @property {number} ref
 * @property {Shown[]} [ids]
 * @property {string} [epoch]  in which the ids were shown
 * @property {Cursor} [cursor]
 * @property {Cursor} [since]
 *
 * @typedef {"drop" | "apply" | "read"} Verdict
 */

/**
 * Whether the reader needs no toast of it any more.
 * @param {Notification} notification
 */
export function isDone({ read_at, archived_at, dismissed_at }) {
  return Boolean(read_at || archived_at || dismissed_at);
}

/**
 * Whether a task is behind it that somebody is still to end.
 * @param {Notification} notification
 */
export function runs({ progress }) {
  return progress?.ended_at === null && progress.state !== "lost";
}

/** The version of the wire that this client speaks. */
export const VERSION = 1;

/** Close codes are the server's word on whether to come back. @type {Record<string, number>} */
export const CLOSE = {
  LOST: 1006, // what a browser reports for a connection that just ended
  TOO_MANY: 4002, // the process has no room, or too many tabs of this user
  PROTOCOL: 4500,
  NOT_SIGNED_IN: 4501,
  FOREIGN_ORIGIN: 4503,
  KICKED: 4504,
};

const CURSOR = /^([0-9a-v]{17}):(0|[1-9][0-9]{0,15})$/;

/**
 * Whether a connection that closed with this code must stay closed.
 * @param {number} code
 */
export function isTerminal(code) {
  return code >= 4500 && code <= 4999;
}

/**
 * Whether the server has closed a connection of its own accord, and awaits the client again.
 * @param {number} code
 */
export function isOrderly(code) {
  return code >= 4000 && code < 4500;
}

/**
 * What the end of a connection is called.
 * @param {number} code
 */
export function reasonOf(code) {
  const name = Object.keys(CLOSE).find((name) => CLOSE[name] === code);
  return name?.toLowerCase() ?? (isOrderly(code) ? "server" : isTerminal(code) ? String(code) : "lost");
}

/**
 * The epoch and the position of a cursor.
 * @param {string} cursor
 * @returns {{epoch: string, position: number}}
 */
export function parseCursor(cursor) {
  const parsed = readCursor(cursor);
  if (!parsed) throw new Error(cursor);
  return parsed;
}

/** @param {unknown} value */
function readCursor(value) {
  const [, epoch, digits] = (typeof value === "string" && CURSOR.exec(value)) || [];
  const position = Number(digits);
  // Above that, two positions may look like one to JavaScript.
  return Number.isSafeInteger(position) ? { epoch, position } : null;
}

/**
 * Below zero if a comes before b, zero if they are equal, above zero after it.
 * @param {Cursor} a
 * @param {Cursor} b
 */
export function compare(a, b) {
  if (a === null || b === null) return Number(a !== null) - Number(b !== null);
  const [left, right] = [parseCursor(a), parseCursor(b)];
  if (left.epoch !== right.epoch) return left.epoch < right.epoch ? -1 : 1;
  return left.position - right.position;
}

/**
 * The rule: what a reader that holds `mine` does with the changes from `since`
 * to `cursor`.
 * @param {Cursor} mine
 * @param {Cursor} since
 * @param {Cursor} cursor
 * @returns {Verdict}
 */
export function judge(mine, since, cursor) {
  if (compare(cursor, mine) <= 0) return "drop";
  if (mine === null || since === null) return "read";
  return compare(since, mine) <= 0 ? "apply" : "read";
}

/**
 * The rule for a whole document: a reset has no `since`, it replaces.
 * @param {Cursor} mine
 * @param {Changes} changes
 * @returns {Verdict}
 */
export function judgeChanges(mine, changes) {
  if (!changes.reset) return judge(mine, changes.since, changes.cursor);
  return compare(changes.cursor, mine) <= 0 ? "drop" : "apply";
}

/**
 * Read one document. Types that this version does not know give null, so that
 * a newer server may say more; a known type in a wrong shape throws.
 * @param {string} text
 * @returns {Document | null}
 */
export function parse(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    // Then it has no type either.
  }
  const type = value?.type;
  if (typeof type !== "string") throw new Error(text);
  if (!Object.hasOwn(shapes, type)) return null;
  if (!shapes[type](value)) throw new Error(text);
  return value;
}

/** @type {Record<string, (value: any) => boolean>} */
const shapes = {
  changes: isChanges,
  welcome: (value) => value.version === VERSION && value.heartbeat > 0 && isChanges(value.changes),
  tick: ({ ticks }) => Array.isArray(ticks),
  ping: isHeartbeat,
  pong: isHeartbeat,
  ack: (value) => isPosition(value.ref) && isHeartbeat(value),
  error: (value) => (value.ref === null || isPosition(value.ref)) && typeof value.code === "string",
};

/** @param {any} value */
function isChanges(value) {
  return (
    value?.type === "changes" &&
    isCursor(value.since) &&
    isCursor(value.cursor) &&
    // Only the snapshot of a user without a mailbox has no cursor.
    (value.cursor !== null || value.reset === true) &&
    isPosition(value.head) &&
    isPosition(value.counts?.unseen) &&
    isPosition(value.counts?.unread) &&
    Array.isArray(value.notifications) &&
    value.notifications.every(isNotification)
  );
}

/** @param {any} value */
function isNotification(value) {
  return (
    isPosition(value?.id) &&
    isPosition(value.position) &&
    isPosition(value.arrived) &&
    typeof value.level === "string" &&
    typeof value.message === "string" &&
    Array.isArray(value.actions)
  );
}

/** @param {any} value */
function isHeartbeat({ cursor }) {
  return isCursor(cursor);
}

/** @param {any} value */
function isCursor(value) {
  return value === null || readCursor(value) !== null;
}

/** @param {any} value */
function isPosition(value) {
  return Number.isSafeInteger(value) && value >= 0;
}
