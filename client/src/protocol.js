/**
 * The wire, version 1: cursors, the rule, documents and close codes. Pure: no
 * I/O, no clock. `notify/protocol.py` is the same in Python, and both are tested
 * with tests/vectors/.
 */

/**
 * @typedef {"debug" | "info" | "success" | "warning" | "error"} Level
 *
 * @typedef {object} Action  a link, or an action that the server runs
 * @property {string} label
 * @property {string} [url]  of a link
 * @property {true} [run]  the command `act` runs it
 * @property {"primary" | "danger"} [style]
 * @property {string} [confirm]  what to ask before it is run
 *
 * @typedef {object} Outcome  what an action that the server ran has led to
 * @property {number} action  index in `actions`
 * @property {string} message  never empty
 * @property {Level} level
 * @property {string} url  a link to the result, or an empty text
 *
 * @typedef {"queued" | "running" | "cancelling" | "succeeded" | "failed" | "cancelled" | "lost"} TaskState
 *
 * @typedef {object} Progress  how far a task is
 * @property {TaskState} state
 * @property {number} done
 * @property {number | null} total
 * @property {string} message  the current step or item
 * @property {number} attempt
 * @property {boolean} cancellable
 * @property {boolean} silent  no update has come for a while
 * @property {string | null} started_at
 * @property {string | null} ended_at  null while its result is unknown
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
 * @property {Progress} [progress]  of the task behind it, if there is one
 * @property {string} [group]  by which the inbox folds notifications
 * @property {string} [image]  address of a face or an icon
 * @property {string} [origin]  the tab whose request sent it, if only that tab shows a toast
 * @property {string} [acted_at]  when one of its actions was taken; no other can be
 * @property {Outcome} [outcome]  of the action that was taken
 * @property {false} [toast]  without a toast: in the badge and the inbox only
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
 * @typedef {{id: number, attempt: number, done: number, total: number | null, message: string}} Tick  of a task, between two changes of its row
 * @typedef {{type: "tick", ticks: Tick[]}} Ticks
 * @typedef {Changes | Welcome | Ticks | Heartbeat | Ack | Failure} Document
 *
 * @typedef {[id: number, arrived: number]} Shown  a notification as the user saw it
 * @typedef {{type: "rows", cursor: Cursor, counts: Counts, next: string, notifications: Notification[]}} Rows  a part of a list of the inbox
 * @typedef {"seen" | "read" | "archived" | "dismissed" | "unread" | "unarchive" | "cancel"} Mark  "cancel" asks the task behind it to end
 *
 * @typedef {object} Command
 * @property {Mark | "seen_all" | "read_all" | "archived_all" | "dismissed_all" | "act" | "changes"} type
 * @property {number} ref
 * @property {Shown[]} [ids]
 * @property {number} [action]  with `act`, the index of the action; `ids` is then one pair
 * @property {string} [epoch]  the epoch in which the ids were shown
 * @property {Cursor} [cursor]
 * @property {Cursor} [since]
 *
 * @typedef {"drop" | "apply" | "read"} Verdict
 */

/**
 * Returns true if the user has dealt with the notification, so that it needs no toast.
 * @param {Notification} notification
 */
export function isDone({ read_at, archived_at, dismissed_at }) {
  return Boolean(read_at || archived_at || dismissed_at);
}

/**
 * Returns true if its task is running or waiting to run. A lost task is not: its worker may never report again.
 * @param {Notification} notification
 */
export function runs({ progress }) {
  return progress?.ended_at === null && progress.state !== "lost";
}

/** The version of the wire that this client understands. */
export const VERSION = 1;

/**
 * Close codes tell the client why a connection ended, and so whether to come back. In answers and events they have these
 * names. @type {Record<string, number>}
 */
export const CLOSE = /** @type {any} */ ({
  __proto__: null, // so that it has no other names
  lost: 1006, // what a browser reports for a connection that ended without a close frame
  too_many: 4002, // the process has no room, or too many tabs of this user
  protocol: 4500,
  not_signed_in: 4501,
  foreign_origin: 4503,
  kicked: 4504,
  another_user: 4505, // the page was rendered for another user than the one who is signed in now
});

const CURSOR = /^([0-9a-v]{17}):(0|[1-9][0-9]{0,15})$/;

/**
 * Returns true if a connection that closed with this code must stay closed.
 * @param {number} code
 */
export function isTerminal(code) {
  return code >= 4500 && code <= 4999;
}

/**
 * Returns true if the server closed the connection on purpose and expects the client to come back.
 * @param {number} code
 */
export function isOrderly(code) {
  return code >= 4000 && code < 4500;
}

/**
 * The name of a close code, for events and errors.
 * @param {number} code
 */
export function reasonOf(code) {
  const name = Object.keys(CLOSE).find((name) => CLOSE[name] === code);
  return name ?? (isOrderly(code) ? "server" : isTerminal(code) ? String(code) : "lost");
}

/**
 * The epoch and the position of a cursor. Those of null come before all others. Throws if the text is not a cursor.
 * @param {unknown} cursor
 * @returns {{epoch: string, position: number}}
 */
export function parseCursor(cursor) {
  if (cursor === null) return { epoch: "", position: -1 };
  const [, epoch, digits] = (typeof cursor === "string" && CURSOR.exec(cursor)) || [];
  const position = Number(digits);
  // Above 2^53 JavaScript rounds, so two positions could become equal.
  if (!isPosition(position)) throw new Error(String(cursor));
  return { epoch, position };
}

/**
 * The epoch of a cursor, if there is one.
 * @param {Cursor} cursor
 */
export function epochOf(cursor) {
  return cursor?.split(":")[0];
}

/**
 * Compare two cursors. Returns a number below zero if a comes before b, zero if they are equal, else one above zero.
 * @param {Cursor} a
 * @param {Cursor} b
 */
export function compare(a, b) {
  const [left, right] = [parseCursor(a), parseCursor(b)];
  if (left.epoch !== right.epoch) return left.epoch < right.epoch ? -1 : 1;
  return left.position - right.position;
}

/**
 * The rule: what a reader at the cursor `mine` does with the changes from
 * `since` to `cursor`. A reset has no `since`, because it replaces everything.
 * @param {Cursor} mine
 * @param {Changes} changes
 * @returns {Verdict}
 */
export function judgeChanges(mine, { since, cursor, reset }) {
  if (compare(cursor, mine) <= 0) return "drop";
  return reset || (since !== null && compare(since, mine) <= 0) ? "apply" : "read";
}

/**
 * Read one document. Returns null for a type that this version does not know,
 * so that a newer server may send more; a known type in a wrong shape throws.
 * @param {string} text
 * @returns {Document | null}
 */
export function parse(text) {
  const value = JSON.parse(text);
  const type = value?.type;
  if (typeof type !== "string") throw new Error(text);
  const fits = shapes[type];
  if (!fits) return null;
  if (!fits(value)) throw new Error(text);
  return value;
}

/** @type {Record<string, any>} */
const shapes = {
  __proto__: null,
  changes: isChanges,
  welcome: (/** @type {any} */ value) => value.version === VERSION && value.heartbeat > 0 && isChanges(value.changes),
  tick: (/** @type {Ticks} */ { ticks }) => Array.isArray(ticks),
  ping: isHeartbeat,
  pong: isHeartbeat,
  ack: (/** @type {any} */ value) => isPosition(value.ref) && isHeartbeat(value),
  error: (/** @type {any} */ value) => (value.ref === null || isPosition(value.ref)) && typeof value.code === "string",
};

/** @param {any} value */
function isChanges(value) {
  return (
    value?.type === "changes" &&
    isCursor(value.since) &&
    isCursor(value.cursor) &&
    // Only the snapshot for a user without a mailbox has no cursor.
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

/** Returns true, or throws. @param {any} value */
function isCursor(value) {
  return Boolean(parseCursor(value));
}

/** @param {any} value */
function isPosition(value) {
  return Number.isSafeInteger(value) && value >= 0;
}
