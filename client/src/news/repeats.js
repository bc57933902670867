import { element } from "../platform/dom.js";
import { fillCount } from "../platform/labels.js";

/** @import { Client } from "../mailbox/client.js" */
/** @import { Mark, Notification } from "../protocol.js" */
/** @import { Labels } from "./labels.js" */

/** The same text within so many ms is one toast. */
const PAUSE = 2_000;

/** The marks of the first notification of a text that all others get as well. */
const MARKS = /** @type {Mark[]} */ (["seen", "read", "archived", "dismissed"]);

/**
 * Shows the same text, sent again and again, in one toast that counts: "×3".
 */
export class Repeats {
  /** The last toast of each text. @type {Map<string, {id: number, at: number}>} */
  #last = new Map();
  /** The notifications that are shown in the toast of another one, by its id. @type {Map<number, Notification[]>} */
  #others = new Map();

  /**
   * Returns the id of the open toast that shows the same text, or nothing if this one needs a toast of its own.
   * @param {Notification} notification
   * @param {number} now
   * @param {(id: number) => boolean} isOpen
   */
  _take(notification, now, isOpen) {
    const { id, level, title, message, url, actions, progress } = notification;
    // A task changes its text, and an action is that of one notification.
    if (progress || actions.length > 0) return;
    for (const [text, { at }] of this.#last) if (now - at > PAUSE) this.#last.delete(text);
    const text = JSON.stringify([id > 0, level, title, message, url]);
    const last = this.#last.get(text);
    const first = last && last.id !== id && isOpen(last.id) ? last.id : id;
    this.#last.set(text, { id: first, at: now });
    if (first === id) return;
    this.#others.set(first, [...(this.#others.get(first) ?? []), notification]);
    return first;
  }

  /**
   * Mark all that a toast shows as its own notification is marked.
   * @param {number} first  the id of its own notification
   * @param {Client | null} client
   */
  _follow(first, client) {
    for (const mark of MARKS) {
      const at = (/** @type {number} */ id) => /** @type {any} */ (client?.store.get(id))?.[`${mark}_at`];
      const others = this.#others.get(first)?.filter(({ id }) => at(id) === null) ?? [];
      if (at(first)) client?.mark(mark, others);
    }
  }

  /**
   * Write into a toast how often its text has come.
   * @param {HTMLElement} item
   * @param {Notification} notification
   * @param {Labels} labels
   */
  _draw(item, { id, count }, labels) {
    const others = this.#others.get(id);
    if (!others) return;
    const all = others.reduce((sum, other) => sum + other.count, count);
    const mark = item.querySelector(".nf-count") ?? element("span", "nf-count", { dir: "auto", role: "img" });
    if (!mark.parentNode) item.querySelector("p")?.append(" ", mark);
    mark.textContent = `×${all}`;
    mark.setAttribute("aria-label", fillCount(labels, "times", all));
  }

  /** @param {(id: number) => boolean} isOpen */
  _forget(isOpen) {
    for (const id of this.#others.keys()) if (!isOpen(id)) this.#others.delete(id);
  }
}
