import { element } from "../platform/dom.js";
import { fillCount, levelName } from "../platform/labels.js";
import { Timer } from "../platform/timer.js";

/** @import { Labels } from "../platform/labels.js" */
/** @import { Notification } from "../protocol.js" */

/** A screen reader has picked up a polite text after so many ms. */
const POLITE_LIFE = 7_000;

/** A region that is cleared and filled again in less time looks unchanged to a screen reader. */
const ASSERTIVE_PAUSE = 100;

/**
 * The text that is announced for a notification.
 * @param {Notification} notification
 * @param {Labels} labels
 */
export function announcement({ level, title, message, actions, url }, labels) {
  const parts = [`${levelName(labels, level)}: ${title || message}`];
  if (title) parts.push(message);
  if (actions.length > 0 || url) parts.push(labels.actions);
  return parts.map((part) => (/\p{Po}$/u.test(part) ? part : `${part}.`)).join(" ");
}

/**
 * The text that is announced for many notifications at once.
 * @param {number} count
 * @param {Labels} labels
 */
export function summary(count, labels) {
  return `${labels.notifications}: ${fillCount(labels, "new", count)}.`;
}

/**
 * Announces texts to screen readers through two live regions. They are on the
 * page, empty, before the first text: screen readers ignore the first text of a
 * region that has just been inserted.
 */
export class Announcer {
  #timer = new Timer();
  /** The urgent texts that wait for the pause. */
  #urgent = "";
  _polite = region("status", "polite", "false");
  _assertive = region("alert", "assertive", "true");

  /**
   * @param {string} text
   * @param {boolean} [urgent]
   */
  announce(text, urgent) {
    const page = /** @type {any} */ (document);
    if (page.ariaNotify) {
      page.ariaNotify(text, { priority: urgent ? "high" : "normal" });
    } else if (urgent) {
      this.#interrupt(text);
    } else {
      const line = element("div", "nf-line", {}, text);
      this._polite.append(line);
      setTimeout(() => line.remove(), POLITE_LIFE);
    }
  }

  /** @param {string} text */
  #interrupt(text) {
    // Added to what waits: of two errors in a row, the second would otherwise replace the first.
    this.#urgent += ` ${text}`;
    this._assertive.textContent = "";
    this.#timer.start(ASSERTIVE_PAUSE, () => {
      this._assertive.textContent = this.#urgent.trim();
      this.#urgent = "";
    });
  }
}

/**
 * @param {string} role
 * @param {string} live
 * @param {string} atomic
 */
function region(role, live, atomic) {
  return element("div", "nf-sr", { role, "aria-live": live, "aria-atomic": atomic });
}
