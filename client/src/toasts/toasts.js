import { Emitter } from "../platform/emitter.js";
import { runs } from "../protocol.js";

/**
 * Which toasts are open, which of them are on screen, and how long they stay.
 * Knows no DOM: it is told when the reader is near, and says what changed.
 *
 * Events: `change`, `close` ({notification, reason}).
 *
 * @import { Notification } from "../protocol.js"
 *
 * @typedef {object} Toast
 * @property {Notification} notification
 * @property {number} left       ms of reading time left; Infinity: until dismissed
 * @property {boolean} visible   on screen, or behind "N more"
 * @property {boolean} announced
 * @property {boolean} quiet     was on screen before this page: no animation
 *
 * @typedef {"timeout" | "user" | "elsewhere"} Reason
 */

/** Reading time by level, in ms. Errors stay until dismissed. @type {Record<string, number>} */
const BASE = { debug: 8_000, info: 8_000, success: 8_000, warning: 12_000 };

/** Nobody reads a toast in less. */
const FLOOR = 6_000;

/** More running tasks than these are behind "N more", all of them. */
const MOST_RUNNING = 3;

/** Who comes back to a toast that was about to go still sees it for this long. */
const RESUME = 1_500;

/**
 * How long a notification stays on screen, in ms.
 * @param {Pick<Notification, "level" | "title" | "message" | "actions" | "progress">} notification
 */
export function duration({ level, title, message, actions, progress }) {
  if (progress?.ended_at === null || actions.length > 0 || !BASE[level]) return Infinity;
  const words = `${title} ${message}`.trim().split(/\s+/).length;
  return Math.max(FLOOR, BASE[level], 5_000 + Math.ceil(words / 20) * 1_000);
}

export class Toasts extends Emitter {
  /** @type {Map<number, Toast>} */
  #open = new Map();
  /** @type {Set<string>} */
  #pauses = new Set();
  /** Whether those behind "N more" were brought to the screen. */
  expanded = false;
  #folds = false;
  /** Up to when the reading time is accounted for. */
  #settled = 0;
  /** @type {any} */
  #timer;

  /**
   * @param {object} options
   * @param {() => number} options.limit  how many fit on screen
   * @param {(id: number) => boolean} options.holds  whether the reader is at one
   */
  constructor({ limit, holds }) {
    super();
    this.limit = limit;
    this.holds = holds;
  }

  get size() {
    return this.#open.size;
  }

  /** All open toasts, newest first. */
  all() {
    return [...this.#open.values()].sort((a, b) => b.notification.arrived - a.notification.arrived);
  }

  visible() {
    return this.all().filter((toast) => toast.visible);
  }

  /**
   * Open a toast, or give the open one its new content and its full time.
   * @param {Notification} notification
   * @param {boolean} [quiet]  it is no news
   */
  show(notification, quiet = false) {
    const visible = this.#open.get(notification.id)?.visible ?? false;
    this.settle();
    this.#open.set(notification.id, { notification, left: duration(notification), visible, announced: quiet, quiet });
    this.#arrange();
  }

  /**
   * Open toasts as a page before this one left them.
   * @param {Toast[]} toasts
   */
  restore(toasts) {
    this.settle();
    this.#open = new Map(toasts.map((toast) => [toast.notification.id, { ...toast, quiet: true }]));
    this.#arrange();
  }

  /**
   * The row changed, not its content: the time goes on.
   * @param {Notification} notification
   */
  update(notification) {
    const toast = this.#open.get(notification.id);
    if (!toast) return;
    this.settle();
    toast.notification = notification;
    this.#arrange();
  }

  /**
   * @param {number} id
   * @param {Reason} reason
   */
  close(id, reason) {
    this.settle();
    this.#close([id], reason);
    this.#arrange();
  }

  /**
   * Stop all clocks while there is a reason to.
   * @param {string} reason
   * @param {boolean} [on]
   */
  pause(reason, on = true) {
    this.settle();
    if (on) this.#pauses.add(reason);
    else if (this.#pauses.delete(reason) && this.#pauses.size === 0) {
      for (const toast of this.#open.values()) toast.left = Math.max(toast.left, RESUME);
    }
    this.#schedule();
  }

  /** Bring those behind "N more" to the screen, or put them back. */
  expand() {
    this.settle();
    this.expanded = !this.expanded;
    // Who brings them there himself need not be told of each.
    for (const toast of this.#open.values()) toast.announced = true;
    this.#arrange();
  }

  /** The number that fits has changed. */
  refit() {
    this.settle();
    this.#arrange();
  }

  stop() {
    clearTimeout(this.#timer);
  }

  /** Bring the reading time up to date: take the time since the last look off the toasts that were being read. */
  settle() {
    const now = Date.now();
    if (this.#pauses.size === 0) {
      for (const toast of this.#open.values()) if (toast.visible) toast.left -= now - this.#settled;
    }
    this.#settled = now;
  }

  #tick() {
    this.settle();
    const over = [...this.#open.values()].filter((toast) => toast.visible && toast.left <= 0);
    this.#close(over.map((toast) => toast.notification.id), "timeout");
    this.#arrange();
  }

  /**
   * @param {number[]} ids
   * @param {Reason} reason
   */
  #close(ids, reason) {
    for (const id of ids) {
      const toast = this.#open.get(id);
      if (!toast) continue;
      this.#open.delete(id);
      this.emit("close", { notification: toast.notification, reason });
    }
  }

  /**
   * Choose what is on screen: what the reader is at, the errors, then the
   * newest. One more than fit at the most, because news is never hidden behind
   * errors that nobody has closed.
   */
  #arrange() {
    const limit = this.limit();
    if (this.#open.size <= limit) this.expanded = false;
    const all = this.all();
    const running = all.filter(({ notification }) => runs(notification));
    // Until one is left: else they would come and go with each that ends and begins.
    this.#folds = !this.expanded && running.length > (this.#folds ? 1 : MOST_RUNNING);
    const folded = running.filter(({ notification }) => this.#folds && !this.holds(notification.id));
    for (const toast of folded) toast.visible = false;
    const toasts = all.filter((toast) => !folded.includes(toast));
    const shown = toasts.filter((toast) => toast.visible);
    const errors = shown.filter(({ notification }) => notification.level === "error").slice(0, limit);
    const stays = shown.filter((toast) => errors.includes(toast) || this.holds(toast.notification.id));
    let room = this.expanded ? Infinity : limit - stays.length;
    for (const [age, toast] of toasts.entries()) {
      if (stays.includes(toast)) continue;
      toast.visible = room > 0 || age === 0;
      room -= 1;
    }
    this.emit("change");
    this.#schedule();
  }

  /** One timer, for the toast that goes next. */
  #schedule() {
    clearTimeout(this.#timer);
    if (this.#pauses.size > 0) return;
    const next = Math.min(...this.visible().map((toast) => toast.left));
    if (next < Infinity) this.#timer = setTimeout(() => this.#tick(), next);
  }
}
