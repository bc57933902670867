import { element } from "../platform/dom.js";
import { levelWord } from "../platform/labels.js";

/** @import { Labels } from "../platform/labels.js" */
/** @import { Notification } from "../protocol.js" */

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
  /** What is to be said urgently. */
  #urgent = "";

  constructor() {
    this.polite = this.#region("status", "polite", "false");
    this.assertive = this.#region("alert", "assertive", "true");
  }

  /**
   * @param {string} text
   * @param {{urgent?: boolean}} [options]
   */
  say(text, { urgent = false } = {}) {
    const { ariaNotify } = /** @type {any} */ (document);
    if (typeof ariaNotify === "function") {
      ariaNotify.call(document, text, { priority: urgent ? "high" : "normal" });
    } else if (urgent) {
      this.#shout(text);
    } else {
      const line = element("div", "nf-line", {}, text);
      this.polite.append(line);
      setTimeout(() => line.remove(), POLITE_LIFE);
    }
  }

  /** @param {string} text */
  #shout(text) {
    clearTimeout(this.#timer);
    // Two errors in a row: the second must not swallow the first.
    this.#urgent += ` ${text}`;
    this.assertive.textContent = "";
    this.#timer = setTimeout(() => {
      this.assertive.textContent = this.#urgent.trim();
      this.#urgent = "";
    }, ASSERTIVE_PAUSE);
  }

  /**
   * @param {string} role
   * @param {string} live
   * @param {string} atomic
   */
  #region(role, live, atomic) {
    return element("div", "nf-sr", { role, "aria-live": live, "aria-atomic": atomic });
  }
}
