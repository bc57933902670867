import { element } from "./dom.js";
import { levelWord } from "./labels.js";

/** @import { Labels } from "./labels.js" */
/** @import { Notification } from "./protocol.js" */

/** A screen reader has taken a polite text by then. */
const POLITE_LIFE = 7_000;

/** A region that is cleared and filled at once looks unchanged. */
const ASSERTIVE_PAUSE = 100;

/**
 * What is said of a notification.
 * @param {Notification} notification
 * @param {Labels} labels
 */
export function spoken({ level, title, message, actions, url }, labels) {
  const parts = [`${levelWord(labels, level)}: ${title || message}`];
  if (title) parts.push(message);
  if (actions.length > 0 || url) parts.push(labels.actions);
  return parts.map((part) => (/[.!?…]$/.test(part) ? part : `${part}.`)).join(" ");
}

/**
 * Speaks to screen readers through two live regions that are there, empty,
 * before the first word: regions made on the spot are not heard.
 */
export class Announcer {
  /** @type {any} */
  #timer;

  /** @param {Document} document */
  constructor(document) {
    this.document = document;
    this.polite = this.#region("status", "polite", "false");
    this.polite.setAttribute("aria-relevant", "additions");
    this.assertive = this.#region("alert", "assertive", "true");
  }

  /**
   * @param {string} text
   * @param {{urgent?: boolean}} [options]
   */
  say(text, { urgent = false } = {}) {
    const { ariaNotify } = /** @type {any} */ (this.document);
    if (typeof ariaNotify === "function") {
      ariaNotify.call(this.document, text, { priority: urgent ? "high" : "normal" });
    } else if (urgent) {
      this.#shout(text);
    } else {
      const line = this.document.createElement("div");
      line.textContent = text;
      this.polite.append(line);
      setTimeout(() => line.remove(), POLITE_LIFE);
    }
  }

  /** @param {string} text */
  #shout(text) {
    clearTimeout(this.#timer);
    // Two errors in a row: the second must not swallow the first.
    const before = this.assertive.dataset.next ?? "";
    this.assertive.dataset.next = before ? `${before} ${text}` : text;
    this.assertive.textContent = "";
    this.#timer = setTimeout(() => {
      this.assertive.textContent = this.assertive.dataset.next ?? "";
      delete this.assertive.dataset.next;
    }, ASSERTIVE_PAUSE);
  }

  /**
   * @param {string} role
   * @param {string} live
   * @param {string} atomic
   */
  #region(role, live, atomic) {
    return element(this.document, "div", "nf-sr", { role, "aria-live": live, "aria-atomic": atomic });
  }
}
