/**
 * The lists of the inbox, without any DOM: which rows each of them has, and how
 * far it is known. The rows themselves are in the client's store, where the
 * changes of all tabs reach them.
 *
 * @import { Notification, Rows } from "../protocol.js"
 * @import { Store } from "../mailbox/store.js"
 * @typedef {"all" | "unread" | "archived"} View
 */

/** @type {View[]} */
export const VIEWS = ["all", "unread", "archived"];

/**
 * Returns whether a list has a row. Those that have expired or were retracted are in none.
 * @param {View} view
 * @param {Notification} row
 */
export function belongs(view, { archived_at, expires_at, read_at }) {
  if (view === "archived") return archived_at !== null && !(expires_at && expires_at <= archived_at);
  return archived_at === null && !(view === "unread" && read_at);
}

export class Lists {
  /** Rows that were read at a later cursor than that of the store, which does not have them yet. @type {Map<number, Notification>} */
  #ahead = new Map();
  /** The place down to which each list is known, as the server names it; empty at its end. @type {Map<View, string>} */
  #places = new Map();
  #store;

  /** @param {() => Store} store  that of the client, which another one may replace */
  constructor(store) {
    this.#store = store;
  }

  /**
   * The row as it is shown; null if it is not known.
   * @param {number} id
   */
  get(id) {
    const held = this.#store().get(id);
    const ahead = this.#ahead.get(id);
    return ahead && !(held && held.position >= ahead.position) ? ahead : held;
  }

  /**
   * Take a part of a list: the first, or the one that follows what is known.
   * @param {View} view
   * @param {Rows} rows
   */
  take(view, rows) {
    const store = this.#store();
    store.take(rows);
    for (const row of rows.notifications) {
      if ((store.get(row.id)?.position ?? -1) < row.position) this.#ahead.set(row.id, row);
      else this.#ahead.delete(row.id);
    }
    this.#places.set(view, rows.next);
  }

  /**
   * Where a list goes on; empty at its end, undefined if nothing of it is known.
   * @param {View} view
   */
  place(view) {
    return this.#places.get(view);
  }

  /**
   * The rows of a list as far as it is known, those with the newest content first.
   * @param {View} view
   * @returns {Notification[]}
   */
  rows(view) {
    const place = this.#places.get(view);
    if (place === undefined) return [];
    const rows = new Map(this.#store().all().map((row) => [row.id, row]));
    for (const id of this.#ahead.keys()) rows.set(id, /** @type {Notification} */ (this.get(id)));
    return [...rows.values()].filter((row) => row.arrived >= Number(place) && belongs(view, row)).sort((a, b) => b.arrived - a.arrived);
  }

  /** Forget what is known, because the mailbox starts over, or the store may drop rows. */
  forget() {
    this.#ahead.clear();
    this.#places.clear();
  }
}
