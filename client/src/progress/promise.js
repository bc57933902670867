/**
 * Toasts of the page's own work. Their ids are below 0, because neither the
 * server nor another page knows them.
 *
 * @import { NotifyRoot } from "../elements/root.js"
 * @import { Notification } from "../protocol.js"
 */

/**
 * The texts of its toast.
 * @template T
 * @typedef {object} Words
 * @property {string} loading  while it is pending
 * @property {string | ((value: T) => string)} [success]  without it, as while it was pending
 * @property {string | ((reason: any) => string)} [error]  the reason may be a Response that is not ok
 */

/** The notifications of pending work. @type {Map<number, Notification>} */
const own = new Map();

/** How many promises were followed. */
let begun = 0;

/** How many toasts were shown, results included. */
let shown = 0;

/**
 * The notification with this id, if it is one of this page and its work is pending.
 * @param {number} id
 */
export function find(id) {
  return own.get(id);
}

/** The notifications of all pending work of this page. */
export function pending() {
  return [...own.values()];
}

/**
 * Show that work of the page is pending, and how it ends: a method of <notify-root>. Returns the work.
 * @template T
 * @this {NotifyRoot}
 * @param {Promise<T>} work
 * @param {Words<T>} words
 */
export function promise(work, words) {
  follow(this, work, words);
  return work;
}

/**
 * Show that a promise is pending, and then how it ended.
 * @template T
 * @param {Pick<NotifyRoot, "show" | "getAttribute">} root
 * @param {Promise<T>} work
 * @param {Words<T>} words
 */
export async function follow(root, work, { loading, success = loading, error = loading }) {
  const id = -++begun;
  const since = now();
  show(root, { id, level: "info", message: loading, since });
  try {
    const value = await work;
    if (value instanceof Response && !value.ok) throw value;
    end("success", success, value);
  } catch (reason) {
    try {
      end("error", error, reason);
    } catch (fault) {
      // The work has ended all the same. The error in the page's function is thrown for the console.
      end("error", loading, reason);
      throw fault;
    }
  }

  /**
   * @param {"success" | "error"} level
   * @param {string | ((outcome: any) => string)} words
   * @param {unknown} outcome
   */
  function end(level, words, outcome) {
    const message = typeof words === "function" ? words(outcome) : words;
    show(root, { id, level, message, since, ended: now() });
  }
}

/**
 * @param {Pick<NotifyRoot, "show" | "getAttribute">} root
 * @param {{id: number, level: "info" | "success" | "error", message: string, since: string, ended?: string}} toast
 */
function show(root, { id, level, message, since, ended }) {
  shown += 1;
  // Newer than everything that has arrived, and older than everything that will.
  const arrived = Number(root.getAttribute("cursor")?.split(":")[1] ?? 0) + shown / (shown + 1);
  // The fields from which a toast and its bar are drawn, and no more: the rest concerns the server. Seen from the start, so that it is never marked.
  const notification = /** @type {Notification} */ ({
    ...{ id, level, message, arrived, position: arrived, title: "", actions: /** @type {any[]} */ ([]), updated_at: since, seen_at: since },
    progress: { state: STATES[level], total: null, started_at: since, ended_at: ended ?? null },
  });
  if (ended) own.delete(id);
  else own.set(id, notification);
  root.show(notification);
}

/** @type {Record<string, import("../protocol.js").TaskState>} */
const STATES = { info: "running", success: "succeeded", error: "failed" };

function now() {
  return new Date().toISOString();
}
