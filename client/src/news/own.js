/**
 * Toasts of the page itself, which no server knows. They are in no inbox, and end with the page.
 *
 * @import { Action, Level, Notification } from "../protocol.js"
 */

/**
 * The options of a toast of the page, which have the same names as those of `notify.send()`.
 * @typedef {object} ToastOptions
 * @property {Level} [level]
 * @property {string} [title]
 * @property {string} [url]
 * @property {Action[]} [actions]
 */

/**
 * A toast of the page.
 * @typedef {object} OwnToast
 * @property {(message: string, options?: ToastOptions) => void} update  shows another text in the same place
 * @property {() => void} close
 */

/** The levels, for each of which there is a method. */
export const LEVELS = /** @type {Level[]} */ (["debug", "info", "success", "warning", "error"]);

/** Below the ids of promises, which the script of tasks counts down from -1. */
let last = -1e9;

/** How many toasts were shown. */
let shown = 0;

/**
 * An id that no other toast has.
 */
export function ownId() {
  return --last;
}

/**
 * The notification of a toast of the page.
 * @param {Element} root
 * @param {number} id
 * @param {string} message
 * @param {Omit<ToastOptions, "level"> & {level?: string}} [options]
 */
export function own(root, id, message, { level = "info", title = "", url = "", actions = [] } = {}) {
  shown += 1;
  // Newer than everything that has arrived, and older than everything that will.
  const arrived = Number(root.getAttribute("cursor")?.split(":")[1] ?? 0) + shown / (shown + 1);
  // The fields from which a toast is drawn, and no more. Seen from the start, so that it is never marked.
  return /** @type {Notification} */ ({ id, level, message, title, url, actions, arrived, count: 1, seen_at: "own" });
}

/**
 * Check what a page has given. Returns the arguments of `own()`.
 * @param {any} message
 * @param {any} [options]  unknown names are ignored, because htmx adds some
 * @returns {[string, ToastOptions]}
 */
export function checked(message, options) {
  const { level = "info", title = "", url = "", actions = [] } = options ?? {};
  const links = [...actions].map((action) => ({ label: action?.label, url: action?.url }));
  const texts = [["message", message], ["title", title], ["url", url], ...links.flatMap((link) => Object.entries(link))];
  for (const [name, value] of texts) if (typeof value !== "string") refuse(`${name} is not a string`);
  if (!message) refuse("message is empty");
  if (!LEVELS.includes(level)) refuse(`level is not one of ${LEVELS.join(", ")}`);
  return [message, { level, title, url, actions: links }];
}

/** @param {string} fault */
function refuse(fault) {
  throw new TypeError(`notify: cannot show a toast whose ${fault}`);
}

/**
 * The toasts in the detail of a `notify:toast` event: a text, an object, or a list of both. htmx puts what is no object into `value`.
 * @param {any} detail
 * @returns {[unknown, unknown][]}  the arguments of `toast()`
 */
export function requested(detail) {
  const value = detail?.message === undefined ? (detail?.value ?? detail) : detail;
  const all = Array.isArray(value) ? value : [value];
  return all.map((one) => (typeof one === "string" ? [one, {}] : [one?.message, one]));
}
