import { Emitter } from "../platform/emitter.js";
import { compare, isDone, judgeChanges, parseCursor, runs } from "../protocol.js";

/**
 * What this tab knows of the mailbox: one reducer for every transport.
 *
 *     store.apply(changes)             the rule, then the rows, then the counts
 *     store.mark("read", shown, ref)   shown at once, until the server has spoken
 *
 * Events, all dispatched when the store is whole again: `reset`, `change`
 * ({notification, previous, fresh, refused}), `counts`, `cursor`.
 *
 * @import { Changes, Counts, Cursor, Mark, Notification, Shown, Verdict } from "../protocol.js"
 *
 * @typedef {{notification: Notification, previous: Notification | null, fresh: boolean, refused?: boolean}} Change
 * @typedef {number | string} Ref  of a command of this tab, or what names that of another
 * @typedef {{ref: Ref, fields: (keyof Notification)[], shown: Map<number, number>, epoch: string | undefined, until: Cursor | undefined, timer: any}} Overlay
 * @typedef {object} Saved
 * @property {Cursor} cursor
 * @property {Cursor} complete
 * @property {Cursor} countsAt
 * @property {Counts | null} counts
 * @property {Cursor} newest
 * @property {[string, number][]} told
 * @property {Notification[]} rows
 */

/** An optimistic mark that nobody confirmed is taken back after this time. */
const OVERLAY_LIFE = 10_000;

/** A tab that stays open for weeks keeps the newest rows only. */
const ROWS_KEPT = 500;

/** What each mark says about a row. */
const FIELDS = /** @type {Record<Mark, (keyof Notification)[]>} */ ({
  seen: ["seen_at"],
  read: ["seen_at", "read_at"],
  archived: ["seen_at", "read_at", "archived_at"],
  dismissed: ["dismissed_at"],
  cancel: [],
});

export class Store extends Emitter {
  /** @type {Cursor} */
  cursor = null;
  /** The last cursor at which nothing was missing: what mark-all may vouch for. @type {Cursor} */
  complete = null;
  /** @type {Counts | null} */
  counts = null;

  /** The head that the counts belong to, as a cursor. @type {Cursor} */
  #countsAt = null;
  /** The highest cursor at which nothing was missing: what had arrived at or below it is old news. @type {Cursor} */
  #newest = null;
  /** What was told above that, page by page: it may come again before the last page has. @type {Map<string, number>} */
  #told = new Map();
  /** @type {Map<number, Notification>} */
  #rows = new Map();
  /** @type {Overlay[]} */
  #overlays = [];

  /**
   * The row as it is shown: the server's words, and our marks on the way to it.
   * @param {number} id
   * @returns {Notification | null}
   */
  get(id) {
    const row = this.#rows.get(id);
    if (!row) return null;
    let view = row;
    for (const { fields, shown } of this.#overlays) {
      if ((shown.get(id) ?? -1) < row.arrived) continue;
      const now = row.updated_at;
      for (const field of fields) {
        if (!view[field]) view = { ...view, [field]: now };
      }
    }
    return view;
  }

  /** All rows as shown, newest content first. */
  all() {
    const rows = [...this.#rows.keys()].map((id) => /** @type {Notification} */ (this.get(id)));
    return rows.sort((a, b) => b.arrived - a.arrived);
  }

  /**
   * Take one `changes` document. `authoritative` says that it answers our own
   * question (a welcome, a poll): its reset replaces the store even where it
   * lowers the cursor, as after a restored database.
   * @param {Changes} changes
   * @param {{authoritative?: boolean}} [options]
   * @returns {Verdict}
   * @internal
   */
  apply(changes, { authoritative = false } = {}) {
    const verdict = authoritative && changes.reset ? "apply" : judgeChanges(this.cursor, changes);
    if (verdict !== "apply") return verdict;

    const mine = this.cursor;
    // Every poll of a user without a mailbox answers so; once is enough.
    if (changes.cursor === null && mine === null && this.counts) return "drop";
    const reset = Boolean(changes.reset);
    const epoch = changes.cursor && parseCursor(changes.cursor).epoch;
    // In another epoch the same id and place may be those of another row.
    if (epoch) this.#end(this.#overlays.filter((overlay) => overlay.epoch !== epoch));
    const known = epoch === null ? -1 : positionIn(epoch, this.#newest);
    const floor = reset || epoch === null ? -1 : positionIn(epoch, mine);
    const before = new Map([...this.#rows.keys()].map((id) => [id, this.get(id)]));
    const fresh = new Set();
    const touched = new Set();

    if (reset) this.#rows.clear();
    for (const row of changes.notifications) {
      // A row at or below the cursor was here before, even if it was let go.
      if (row.position <= Math.max(floor, this.#rows.get(row.id)?.position ?? -1)) continue;
      const held = before.get(row.id);
      // Not the cursor decides: a mark may move a row from one page to a later one. And after a
      // restored backup another row may have the same id and place.
      const isHeld = row.arrived === held?.arrived && row.updated_at === held.updated_at;
      const told = this.#told.get(`${epoch}:${row.id}`) ?? -1;
      if (row.arrived > Math.max(known, told) && !isHeld) fresh.add(row.id);
      this.#told.set(`${epoch}:${row.id}`, Math.max(row.arrived, told));
      this.#rows.set(row.id, row);
      touched.add(row.id);
    }
    this.#trim();

    this.cursor = changes.cursor;
    const here = positionIn(epoch, this.cursor);
    if (epoch === null || here === changes.head) {
      this.complete = this.cursor;
      if (positionIn(epoch, this.#newest) < here) this.#newest = this.cursor;
      for (const [id, arrived] of this.#told) if (arrived <= here) this.#told.delete(id);
    }
    // The complete cursor of another epoch vouches for nothing in this one.
    else if (positionIn(epoch, this.complete) < 0) this.complete = null;
    // A room tells its reset to all its tabs, and some may show the counts of a newer head.
    const counted = this.#count(changes, epoch, reset && authoritative);
    const ended = this.#overlays.filter(({ until }) => until !== undefined && compare(until, this.complete) <= 0);
    const released = this.#end(ended);

    if (reset) this.emit("reset");
    // Rows come by position, which a mark moves; what is new comes in the order of its arrival.
    for (const { id } of this.all().toReversed()) {
      const notification = this.get(id);
      if (!notification || !touched.has(id)) continue;
      this.emit("change", { notification, previous: before.get(id) ?? null, fresh: fresh.has(id) && !isDone(notification) });
    }
    for (const change of released) if (!touched.has(change.notification.id)) this.emit("change", change);
    if (counted) this.emit("counts", this.counts);
    if (compare(mine, this.cursor) !== 0) this.emit("cursor", this.cursor);
    return verdict;
  }

  /**
   * Show a mark before the server has answered.
   * @param {Mark} mark
   * @param {Shown[]} shown
   * @param {Ref} ref  of the command that carries it
   * @internal
   */
  mark(mark, shown, ref) {
    const targets = new Map(shown);
    const before = this.#views(targets.keys());
    const timer = setTimeout(() => this.fail(ref), OVERLAY_LIFE);
    const epoch = this.cursor?.split(":")[0];
    this.#overlays.push({ ref, fields: FIELDS[mark], shown: targets, epoch, until: undefined, timer });
    for (const change of this.#differences(before)) this.emit("change", change);
  }

  /**
   * The server has made the mark: it is in the rows once the cursor is there.
   * @param {Ref} ref
   * @param {Cursor} cursor
   * @internal
   */
  acknowledge(ref, cursor) {
    for (const overlay of this.#overlays) if (overlay.ref === ref) overlay.until = cursor;
    if (compare(cursor, this.complete) <= 0) this.fail(ref);
  }

  /**
   * Take an optimistic mark back: what the rows say is shown again.
   * @param {Ref} ref
   * @param {boolean} [refused]  by the server, rather than not heard of
   * @internal
   */
  fail(ref, refused) {
    const ended = this.#overlays.filter((overlay) => overlay.ref === ref);
    for (const change of this.#end(ended)) this.emit("change", { ...change, refused });
  }

  /** Forget the clock; used when the element is removed. @internal */
  close() {
    this.#end([...this.#overlays]);
  }

  /**
   * All that a next page needs to go on from here.
   * @param {number[]} ids  of the rows to keep; those of running tasks are kept anyway
   * @returns {Saved}
   * @internal
   */
  save(ids) {
    const rows = [...this.#rows.values()].filter((row) => ids.includes(row.id) || runs(row));
    const { cursor, complete, counts } = this;
    return { cursor, complete, counts, countsAt: this.#countsAt, newest: this.#newest, told: [...this.#told], rows };
  }

  /** @param {Saved} saved @internal */
  restore({ cursor, complete, counts, countsAt, newest, told, rows }) {
    Object.assign(this, { cursor, complete, counts });
    this.#countsAt = countsAt;
    this.#newest = newest;
    this.#told = new Map(told);
    this.#rows = new Map(rows.map((row) => [row.id, row]));
  }

  /**
   * Counts are the server's, and never go back in time.
   * @param {Changes} changes
   * @param {string | null} epoch
   * @param {boolean} reset
   */
  #count({ counts, head }, epoch, reset) {
    const at = epoch && `${epoch}:${head}`;
    if (!reset && compare(at, this.#countsAt) < 0) return false;
    this.#countsAt = at;
    const changed = counts.unseen !== this.counts?.unseen || counts.unread !== this.counts?.unread;
    this.counts = counts;
    return changed;
  }

  #trim() {
    if (this.#rows.size <= ROWS_KEPT) return;
    const oldest = [...this.#rows.values()].sort((a, b) => a.arrived - b.arrived);
    for (const { id } of oldest.slice(0, this.#rows.size - ROWS_KEPT)) this.#rows.delete(id);
  }

  /**
   * Remove overlays; returns what looks different without them.
   * @param {Overlay[]} overlays
   */
  #end(overlays) {
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
      const same = FIELDS.archived.concat(FIELDS.dismissed).every((field) => notification[field] === previous[field]);
      if (!same) changes.push({ notification, previous, fresh: false });
    }
    return changes;
  }
}

/**
 * The position of a cursor if it is of this epoch, else -1.
 * @param {string | null} epoch
 * @param {Cursor} cursor
 */
function positionIn(epoch, cursor) {
  if (cursor === null) return -1;
  const parsed = parseCursor(cursor);
  return parsed.epoch === epoch ? parsed.position : -1;
}
