import { Emitter } from "../platform/emitter.js";
import { compare, epochOf, isDone, judgeChanges, parseCursor, runs } from "../protocol.js";

/**
 * @import { Changes, Counts, Cursor, Mark, Notification, Rows, Shown, Verdict } from "../protocol.js"
 *
 * @typedef {{notification: Notification, previous: Notification | null, fresh: boolean, refused?: boolean}} Change
 * @typedef {number | string} Ref  of a command of this tab, or the name of one of another tab
 *
 * @typedef {object} Overlay  a mark that is shown before the rows have it
 * @property {Ref} ref
 * @property {Mark} mark
 * @property {string} at  when it was made
 * @property {Map<number, number>} shown
 * @property {string | undefined} epoch
 * @property {Cursor} [until]  the cursor at which the rows have it
 * @property {any} timer
 *
 * @typedef {object} Saved
 * @property {Cursor} cursor
 * @property {Cursor} complete
 * @property {Cursor} countsAt
 * @property {Counts | null} counts
 * @property {Cursor} newest
 * @property {[string, number][]} told  what was emitted, under the name that it has in the stored record
 * @property {Notification[]} rows
 */

/** An optimistic mark that was not confirmed is taken back after so many ms. */
const OVERLAY_LIFE = 10_000;

/** A tab that stays open for weeks keeps only so many rows, the newest. */
const ROWS_KEPT = 500;

/** The fields of a row that each mark sets, or takes back. */
const FIELDS = /** @type {Record<Mark, (keyof Notification)[]>} */ ({
  seen: ["seen_at"],
  read: ["seen_at", "read_at"],
  archived: ["seen_at", "read_at", "archived_at"],
  dismissed: ["dismissed_at"],
  unread: ["read_at"],
  unarchive: ["seen_at", "read_at", "archived_at"],
});

/**
 * This tab's copy of the mailbox: one reducer for all transports.
 *
 *     store._apply(changes)             the rule, then the rows, then the counts
 *     store._mark("read", shown, ref)   shown at once, until the server has answered
 *
 * Events, all emitted when the store is consistent again: `reset`, `change`
 * ({notification, previous, fresh, refused}), `counts`, `cursor`.
 */
export class Store extends Emitter {
  /** @type {Cursor} */
  cursor = null;
  /** The last cursor at which nothing was missing: mark-all covers what is at or below it. @type {Cursor} */
  complete = null;
  /** @type {Counts | null} */
  counts = null;
  /** A row whose content arrived at or above this position is kept, however many rows there are. */
  floor = Infinity;

  /** The head that the counts belong to, as a cursor. @type {Cursor} */
  #countsAt = null;
  /** The highest cursor at which nothing was missing. Content at or below it is not news. @type {Cursor} */
  #newest = null;
  /** The rows emitted above that, page by page. It may come again before the last page has come. @type {Map<string, number>} */
  #emitted = new Map();
  /** @type {Map<number, Notification>} */
  #rows = new Map();
  /** @type {Overlay[]} */
  #overlays = [];

  /**
   * The row as it is shown: as the server sent it, with our marks that it does not have yet.
   * @param {number} id
   * @returns {Notification | null}
   */
  get(id) {
    const row = this.#rows.get(id);
    if (!row) return null;
    const view = /** @type {any} */ ({ ...row });
    for (const { mark, shown, at } of this.#overlays) {
      // Of an archived row nothing changes before it is back.
      if ((shown.get(id) ?? -1) < row.arrived || (mark === "unarchive") === !view.archived_at) continue;
      const fields = FIELDS[mark] ?? [];
      // Archiving sets what was missing at its own moment, and is taken back with that.
      const moment = view[/** @type {string} */ (fields.at(-1))];
      for (const field of fields) {
        if (!mark.startsWith("un")) view[field] ??= at;
        else if (view[field] === moment) view[field] = null;
      }
    }
    return view;
  }

  /** All rows as shown, newest content first. */
  all() {
    const rows = [...this.#rows.keys()].map((id) => this.get(id));
    return /** @type {Notification[]} */ (rows).sort((a, b) => b.arrived - a.arrived);
  }

  /**
   * Take the rows of a list of the inbox that this tab does not hold. They are no news. The rows above the cursor are
   * left to the changes that bring them, which may be news.
   * @param {Rows} rows
   */
  take({ cursor, notifications }) {
    const here = positionIn(epochOf(cursor), this.cursor);
    for (const row of notifications) if (row.position <= here && !this.#rows.has(row.id)) this.#rows.set(row.id, row);
  }

  /**
   * Apply one `changes` document. If it answers our own question (a welcome, a
   * poll), its reset replaces the store even if it lowers the cursor, as after
   * a restored database.
   * @param {Changes} changes
   * @param {boolean} [own]  whether it answers our own question
   * @returns {Verdict}
   */
  _apply(changes, own) {
    const replaces = own && changes.reset;
    const verdict = replaces ? "apply" : judgeChanges(this.cursor, changes);
    if (verdict !== "apply") return verdict;
    const mine = this.cursor;
    // For a user without a mailbox every poll is answered like this. Applying it once is enough.
    if (changes.cursor === null && mine === null && this.counts) return "drop";
    const epoch = epochOf(changes.cursor);
    // In another epoch a row with the same id and position may be another notification.
    if (epoch) this.#end((overlay) => overlay.epoch !== epoch);
    const before = this.#views(this.#rows.keys());
    const fresh = this.#takeRows(changes, epoch, before);
    this.#advance(changes, epoch);
    // A leader passes its reset to all its tabs, and some of them may show the counts of a newer head.
    const counted = this.#count(changes, epoch, replaces);
    const released = this.#end(({ until }) => until !== undefined && compare(until, this.complete) <= 0);

    if (changes.reset) this._emit("reset");
    // Rows come by position, which a mark changes. They are emitted in the order in which their content arrived.
    for (const { id } of this.all().reverse()) {
      const notification = this.get(id);
      if (!notification || !fresh.has(id)) continue;
      this._emit("change", { notification, previous: before.get(id) ?? null, fresh: fresh.get(id) && !isDone(notification) });
    }
    for (const change of released) if (!fresh.has(change.notification.id)) this._emit("change", change);
    if (counted) this._emit("counts", this.counts);
    if (compare(mine, this.cursor) !== 0) this._emit("cursor", this.cursor);
    return verdict;
  }

  /**
   * Show a mark before the server has answered.
   * @param {Mark | "act"} mark
   * @param {Shown[]} shown
   * @param {Ref} ref  of the command that carries it
   */
  _mark(mark, shown, ref) {
    const before = this.#views(shown.map(([id]) => id));
    const timer = setTimeout(() => this._fail(ref), OVERLAY_LIFE);
    // Of a mark that only the server can show, or a newer tab knows, nothing is shown.
    this.#overlays.push({ mark: /** @type {Mark} */ (mark), ref, shown: new Map(shown), epoch: epochOf(this.cursor), timer, at: new Date().toJSON() });
    for (const change of this.#differences(before)) this._emit("change", change);
  }

  /**
   * Note that the server has made a mark: the rows have it once they are at the cursor.
   * @param {Ref} ref
   * @param {Cursor} cursor
   */
  _acknowledge(ref, cursor) {
    for (const overlay of this.#overlays) if (overlay.ref === ref) overlay.until = cursor;
    if (compare(cursor, this.complete) <= 0) this._fail(ref);
  }

  /**
   * Take an optimistic mark back, so that the rows are shown as they are.
   * @param {Ref} ref
   * @param {boolean} [refused]  whether the server refused it, rather than did not answer
   */
  _fail(ref, refused) {
    for (const change of this.#end((overlay) => overlay.ref === ref)) this._emit("change", { ...change, refused });
  }

  /** Stop the timers. Called when the element is removed. */
  _close() {
    this.#end(() => true);
  }

  /** Forget everything, because this tab may no longer show it. */
  _clear() {
    this._close();
    this._restore(new Store()._save([]));
    this._emit("reset");
    this._emit("cursor", null);
  }

  /**
   * Returns the state with which the next page continues.
   * @param {number[]} ids  of the rows to keep; those of running tasks are kept as well
   * @returns {Saved}
   */
  _save(ids) {
    const rows = [...this.#rows.values()].filter((row) => ids.includes(row.id) || runs(row));
    const { cursor, complete, counts } = this;
    return { cursor, complete, counts, countsAt: this.#countsAt, newest: this.#newest, told: [...this.#emitted], rows };
  }

  /** @param {Saved} saved */
  _restore({ cursor, complete, counts, countsAt, newest, told, rows }) {
    Object.assign(this, { cursor, complete, counts });
    this.#countsAt = countsAt;
    this.#newest = newest;
    this.#emitted = new Map(told);
    this.#rows = new Map(rows.map((row) => [row.id, row]));
  }

  /**
   * Take the rows of a document. Returns the ids of those that changed, and for each whether its content is new to this tab.
   * @param {Changes} changes
   * @param {string | undefined} epoch
   * @param {Map<number, Notification | null>} before
   */
  #takeRows({ notifications, reset }, epoch, before) {
    const known = positionIn(epoch, this.#newest);
    const floor = reset ? -1 : positionIn(epoch, this.cursor);
    /** @type {Map<number, boolean>} */
    const fresh = new Map();
    if (reset) this.#rows.clear();
    for (const row of notifications) {
      // A row at or below the cursor was here before, even if #trim has dropped it.
      if (row.position <= Math.max(floor, this.#rows.get(row.id)?.position ?? -1)) continue;
      const held = before.get(row.id);
      // The cursor cannot decide this: a mark may move a row from one page to a later one, and after a
      // restored backup another row may have the same id and position.
      const isHeld = row.arrived === held?.arrived && row.updated_at === held.updated_at;
      const key = `${epoch}:${row.id}`;
      const emitted = this.#emitted.get(key) ?? -1;
      fresh.set(row.id, row.arrived > Math.max(known, emitted) && !isHeld);
      this.#emitted.set(key, Math.max(row.arrived, emitted));
      this.#rows.set(row.id, row);
    }
    this.#trim();
    return fresh;
  }

  /**
   * Move the cursor, and with it the cursors at which nothing is missing.
   * @param {Changes} changes
   * @param {string | undefined} epoch
   */
  #advance({ cursor, head }, epoch) {
    this.cursor = cursor;
    const here = positionIn(epoch, cursor);
    if (epoch === undefined || here === head) {
      this.complete = cursor;
      if (positionIn(epoch, this.#newest) < here) this.#newest = cursor;
      for (const [id, arrived] of this.#emitted) if (arrived <= here) this.#emitted.delete(id);
    }
    // The complete cursor of another epoch means nothing in this one.
    else if (positionIn(epoch, this.complete) < 0) this.complete = null;
  }

  /**
   * Take the counts, unless they are older than ours. Returns whether they changed.
   * @param {Changes} changes
   * @param {string | undefined} epoch
   * @param {boolean} [replaces]  whether they replace ours even if they are older
   */
  #count({ counts, head }, epoch, replaces) {
    const at = epoch === undefined ? null : `${epoch}:${head}`;
    if (!replaces && compare(at, this.#countsAt) < 0) return false;
    this.#countsAt = at;
    const changed = counts.unseen !== this.counts?.unseen || counts.unread !== this.counts?.unread;
    this.counts = counts;
    return changed;
  }

  #trim() {
    for (const { id, arrived } of this.all().slice(ROWS_KEPT)) if (arrived < this.floor) this.#rows.delete(id);
  }

  /**
   * Remove overlays. Returns what looks different without them.
   * @param {(overlay: Overlay) => boolean} ends
   */
  #end(ends) {
    const overlays = this.#overlays.filter(ends);
    const before = this.#views(overlays.flatMap(({ shown }) => [...shown.keys()]));
    for (const { timer } of overlays) clearTimeout(timer);
    this.#overlays = this.#overlays.filter((overlay) => !overlays.includes(overlay));
    return this.#differences(before);
  }

  /** @param {Iterable<number>} ids */
  #views(ids) {
    return new Map([...ids].map((id) => [id, this.get(id)]));
  }

  /**
   * @param {Map<number, Notification | null>} before
   * @returns {Change[]}
   */
  #differences(before) {
    const changes = [];
    for (const [id, previous] of before) {
      const notification = this.get(id);
      if (!notification || !previous) continue;
      const same = Object.values(FIELDS).flat().every((field) => notification[field] === previous[field]);
      if (!same) changes.push({ notification, previous, fresh: false });
    }
    return changes;
  }
}

/**
 * The position of a cursor if it belongs to this epoch, else -1.
 * @param {string | undefined} epoch
 * @param {Cursor} cursor
 */
function positionIn(epoch, cursor) {
  const parsed = parseCursor(cursor);
  return parsed.epoch === epoch ? parsed.position : -1;
}
