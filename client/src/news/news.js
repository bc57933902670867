import { now } from "../platform/clock.js";
import { runs } from "../protocol.js";
import { drawCloseAll } from "./close-all.js";
import { Floods } from "./floods.js";
import { labelsOf } from "./labels.js";
import { checked, own, ownId } from "./own.js";
import { Repeats } from "./repeats.js";
import { Summary } from "./summary.js";

/** @import { NotifyRoot } from "../elements/root.js" */
/** @import { Notification } from "../protocol.js" */
/** @import { Decoration, Fold } from "../toasts/more.js" */
/** @import { OwnToast } from "./own.js" */

/** Notifications that arrived more than so many ms ago are not shown one by one, */
const LATE = 60_000;

/** if there are more of them than these. */
const MOST = 3;

/**
 * Decides which notifications of one <notify-root> get a toast of their own.
 * @implements {Decoration}
 */
export class News {
  #repeats = new Repeats();
  #floods = new Floods();
  /** @type {Summary} */
  _summary;
  /** Rows of the document that is being read that arrived long ago. @type {Notification[]} */
  #late = [];
  /** The ids of rows whose toasts opened while the page was hidden. @type {Set<number>} */
  #unwatched = new Set();
  /** The notifications that have a toast. @type {Map<number, Notification>} */
  #open = new Map();
  /** When the server had written the root. */
  #since = now();
  #isOpen = (/** @type {number} */ id) => this.#open.has(id);
  #root;

  /** @param {NotifyRoot} root */
  constructor(root) {
    this.#root = root;
    this._summary = new Summary(root);
    this._redraw = root.decorate(this);
  }

  /**
   * Show a toast of the page itself.
   * @param {unknown} message
   * @param {unknown} options
   * @returns {OwnToast}
   */
  _toast(message, options) {
    const id = ownId();
    const notification = own(this.#root, id, ...checked(message, options));
    const first = this.#repeats._take(notification, now(), this.#isOpen);
    if (first) this._redraw();
    else this.#root.show(notification);
    return {
      update: (message, options) => this.#root.show(own(this.#root, first ?? id, ...checked(message, options))),
      close: () => this.#root.hide(first ?? id),
    };
  }

  /**
   * Returns whether a notification that has just come needs no toast of its own.
   * @param {Notification} notification
   */
  _take(notification) {
    const { id, toast, seen_at, level } = notification;
    // A row that was seen was shown before, and an open toast shows the new content of its row.
    if (toast === false || seen_at || runs(notification) || this.#open.has(id)) return false;
    const first = this.#repeats._take(notification, now(), this.#isOpen);
    if (first) {
      this._redraw();
      if (!document.hidden) this.#repeats._follow(first, this.#root.client);
      return true;
    }
    if (this.#isLate(notification)) {
      if (this.#late.push(notification) === 1) queueMicrotask(() => this.#settle());
      return true;
    }
    if (this.#floods._isOver(now()) && level !== "error") {
      this._summary._add([id]);
      return true;
    }
    if (document.hidden) this.#unwatched.add(id);
    return false;
  }

  /**
   * Take a change of a row.
   * @param {Notification} row
   */
  _change({ id, seen_at, read_at, archived_at, dismissed_at }) {
    this.#repeats._follow(id, this.#root.client);
    if (seen_at || read_at || archived_at || dismissed_at) this._summary._drop((other) => other === id);
  }

  /** Forget the rows that a snapshot does not have, and all rows once the connection is closed for good. */
  _reset() {
    const { client } = this.#root;
    this._summary._drop((id) => !client?.store.get(id));
  }

  /** The user looks at the page again: many toasts that came long ago become one line. */
  _wake() {
    const rows = [...this.#unwatched].flatMap((id) => this.#root.client?.store.get(id) ?? []);
    this.#unwatched.clear();
    const { rest } = divide(rows.filter((row) => this.#open.has(row.id) && !row.seen_at && !runs(row) && this.#isLate(row)));
    if (rest.length <= MOST) return;
    for (const { id } of rest) this.#root.hide(id);
    this._summary._add(rest.map(({ id }) => id));
  }

  /**
   * @param {HTMLElement} item
   * @param {Notification} notification
   */
  toast(item, notification) {
    this.#repeats._draw(item, notification, labelsOf(this.#root));
  }

  /** @param {Fold} fold */
  fold({ state, open }) {
    this.#open = new Map(open.map((notification) => [notification.id, notification]));
    this.#repeats._forget(this.#isOpen);
    this._summary._look(this.#isOpen);
    this._summary._drop(this.#isOpen);
    drawCloseAll(this.#root, state !== "ducked" && open.length > 1, labelsOf(this.#root).close_all, () => this._closeAll());
    return undefined;
  }

  _closeAll() {
    const { client } = this.#root;
    const open = [...this.#open.values()];
    // In one command, which closes them as their close buttons do.
    client?.mark("dismissed", open.filter(({ id }) => id > 0));
    for (const { id } of open) this.#root.hide(id);
  }

  /**
   * Returns whether a row arrived more than a minute ago, by the server's clock: that of the user may be
   * wrong by hours, so it only measures the time since the server wrote the page.
   * @param {Notification} row
   */
  #isLate({ updated_at }) {
    return Number(this.#root.getAttribute("rendered")) * 1_000 + now() - this.#since - Date.parse(updated_at) > LATE;
  }

  /** Show what came late: a few as toasts, many as one line, beside the newest error. */
  #settle() {
    const late = this.#late;
    this.#late = [];
    const { error, rest } = divide(late);
    const many = rest.length > MOST || this._summary._isOpen;
    if (many) this._summary._add(rest.map(({ id }) => id));
    for (const row of many ? error : late) this.#root.show(row);
  }
}

/**
 * The newest error, and the rest.
 * @param {Notification[]} rows  in the order in which they arrived
 */
function divide(rows) {
  const error = rows.filter(({ level }) => level === "error").slice(-1);
  return { error, rest: rows.filter((row) => !error.includes(row)) };
}
