/** @import { Notification } from "../protocol.js" */

/**
 * The order in which rows are on the screen. While somebody reads them nothing
 * moves: a row with new content stays where it is, and new rows wait.
 */
export class Order {
  /** Where each row on the screen is: the position at which its content had arrived when it got there. @type {Map<number, number>} */
  #ranks = new Map();
  #top = -1;

  /**
   * @param {Notification[]} rows
   * @param {boolean} isRead  whether somebody is reading them
   * @returns {{shown: Notification[], waiting: Notification[]}}
   */
  arrange(rows, isRead) {
    const waiting = isRead ? rows.filter(({ id, arrived }) => !this.#ranks.has(id) && arrived > this.#top) : [];
    const shown = rows.filter((row) => !waiting.includes(row));
    this.#ranks = new Map(shown.map(({ id, arrived }) => [id, isRead ? (this.#ranks.get(id) ?? arrived) : arrived]));
    const rank = (/** @type {Notification} */ { id }) => this.#ranks.get(id) ?? 0;
    if (!isRead) this.#top = Math.max(-1, ...this.#ranks.values());
    return { shown: shown.sort((a, b) => rank(b) - rank(a)), waiting };
  }

  /** Begin anew, with another list. */
  clear() {
    this.#ranks.clear();
    this.#top = -1;
  }
}

/**
 * Fold the rows of a group below the newest of them, as the page does.
 * @param {Notification[]} rows
 */
export function fold(rows) {
  /** @type {{row: Notification, others: Notification[]}[]} */
  const heads = [];
  /** @type {Map<string, Notification[]>} */
  const groups = new Map();
  for (const row of rows) {
    const others = row.group && groups.get(row.group);
    if (others) {
      others.push(row);
      continue;
    }
    const head = { row, others: /** @type {Notification[]} */ ([]) };
    heads.push(head);
    if (row.group) groups.set(row.group, head.others);
  }
  return heads;
}
