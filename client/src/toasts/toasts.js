import { Emitter } from "../platform/emitter.js";
import { Timer } from "../platform/timer.js";
import { runs } from "../protocol.js";

/**
 * @import { Notification } from "../protocol.js"
 *
 * @typedef {object} Toast
 * @property {Notification} notification
 * @property {number} left  ms of reading time left; Infinity until it is dismissed
 * @property {number} glance  ms for which it has to stay on screen until it counts as seen; Infinity once it does
 * @property {boolean} visible  whether it is on screen, and not behind "N more"
 * @property {boolean} [outOfView]  whether it is scrolled out of view, or not displayed
 * @property {boolean} announced
 * @property {boolean} quiet  whether it appears without an animation, because it was on screen before this page
 *
 * @typedef {"timeout" | "user" | "elsewhere"} Reason
 */

/** Reading time by level, in ms. Errors stay until dismissed. @type {Record<string, number>} */
const BASE = { debug: 8_000, info: 8_000, success: 8_000, warning: 12_000 };

/** The least reading time, in ms. */
const FLOOR = 6_000;

/** A toast counts as seen after so many ms on screen. */
const GLANCE = 1_000;

/** The time is taken off so often, in ms. If twice as much has passed, the page was asleep and nobody looked at it. */
const TICK = 1_000;

/** If more tasks than these are running, all of them are behind "N more". */
const MOST_RUNNING = 3;

/** A toast whose time was almost over stays for so many ms when the user comes back. */
const RESUME = 1_500;

/**
 * How long a notification stays on screen, in ms.
 * @param {Pick<Notification, "level" | "title" | "message" | "actions" | "outcome" | "progress">} notification
 */
export function duration({ level, title, message, actions, outcome, progress }) {
  if (progress?.ended_at === null || (actions.length > 0 && !outcome) || !BASE[level]) return Infinity;
  const words = `${title} ${message}`.trim().split(/\s+/).length;
  return Math.max(FLOOR, BASE[level], 5_000 + Math.ceil(words / 20) * 1_000);
}

/**
 * Which toasts are open, which of them are on screen, how long they stay, and
 * when they count as seen. It knows no DOM: the list pauses it while the user
 * is at a toast, and draws it when it emits `change`.
 *
 * Events: `change`, `close` ({notification, reason}), `seen` ({notifications}:
 * those that came together are reported together).
 */
export class Toasts extends Emitter {
  /** @type {Map<number, Toast>} */
  #open = new Map();
  /** @type {Set<string>} */
  #pauses = new Set();
  /** True if the toasts behind "N more" were brought to the screen. */
  _expanded = false;
  #folds = false;
  /** The time up to which all time is accounted for. */
  #settled = 0;
  #timer = new Timer();
  #options;

  /**
   * @param {object} options
   * @param {() => number} options._limit  how many fit on screen
   * @param {(id: number) => boolean} options._holds  whether the user is at a toast
   */
  constructor(options) {
    super();
    this.#options = options;
  }

  get size() {
    return this.#open.size;
  }

  /** All open toasts, newest first. */
  all() {
    return [...this.#open.values()].sort((a, b) => b.notification.arrived - a.notification.arrived);
  }

  /** @param {number} id */
  _find(id) {
    return this.#open.get(id);
  }

  visible() {
    return this.all().filter((toast) => toast.visible);
  }

  /**
   * Open a toast, or give the open one its new content and its full time.
   * @param {Notification} notification
   * @param {boolean} [quiet]  whether it is not news, so that it is neither announced nor animated
   */
  show(notification, quiet = false) {
    const open = this.#open.get(notification.id);
    this._settle();
    this.#open.set(notification.id, { visible: false, ...open, notification, left: duration(notification), glance: GLANCE, announced: quiet, quiet });
    this.#arrange();
  }

  /**
   * Open the toasts as the page before this one left them.
   * @param {Omit<Toast, "glance" | "quiet">[]} toasts
   */
  _restore(toasts) {
    this._settle();
    const open = toasts.map((toast) => ({ ...this.#open.get(toast.notification.id), ...toast, glance: GLANCE, quiet: true }));
    this.#open = new Map(open.map((toast) => [toast.notification.id, toast]));
    this.#arrange();
  }

  /**
   * Take a row that changed while its content did not. The reading time goes on.
   * @param {Notification} notification
   */
  update(notification) {
    const toast = this.#open.get(notification.id);
    if (!toast) return;
    this._settle();
    toast.notification = notification;
    this.#arrange();
  }

  /**
   * @param {number} id
   * @param {Reason} reason
   */
  close(id, reason) {
    const toast = this.#open.get(id);
    this._settle();
    if (toast) this.#close(toast, reason);
    this.#arrange();
  }

  /**
   * Stop all reading times while there is a reason to, or drop that reason.
   * @param {string} reason
   * @param {boolean} [on]
   */
  _pause(reason, on = true) {
    this._settle();
    if (on) this.#pauses.add(reason);
    else if (this.#pauses.delete(reason) && this.#pauses.size === 0) {
      for (const toast of this.#open.values()) toast.left = Math.max(toast.left, RESUME);
    }
    this.#schedule();
  }

  /**
   * Note whether a toast is in view. The time of one that is not stands still.
   * @param {number} id
   * @param {boolean} isInView
   */
  look(id, isInView) {
    this._settle();
    const toast = this.#open.get(id);
    if (toast) {
      if (isInView && toast.outOfView) toast.left = Math.max(toast.left, RESUME);
      toast.outOfView = !isInView;
    }
    this.#schedule();
  }

  /** Bring the toasts behind "N more" to the screen, or put them back. */
  expand() {
    this._settle();
    this._expanded = !this._expanded;
    // The user brings them there by pressing the button, so they are not announced one by one.
    for (const toast of this.#open.values()) toast.announced = true;
    this.#arrange();
  }

  /** Arrange the toasts again, because another number fits on screen. */
  _refit() {
    this._settle();
    this.#arrange();
  }

  stop() {
    this.#timer.stop();
  }

  /** The toasts that the user can see. */
  #inSight() {
    return this.#pauses.has("hidden") ? [] : this.visible().filter(({ outOfView }) => !outOfView);
  }

  /** Take the time since the last call off that of the toasts in sight, unless they are paused or the page was asleep. */
  _settle() {
    const now = performance.now();
    const time = now - this.#settled;
    this.#settled = now;
    const inSight = time > 2 * TICK ? [] : this.#inSight();
    for (const toast of this.#open.values()) {
      if (!inSight.includes(toast)) toast.glance = Math.max(toast.glance, GLANCE);
      else {
        toast.glance -= time;
        if (this.#pauses.size === 0) toast.left -= time;
      }
    }
  }

  #tick() {
    this._settle();
    const inSight = this.#inSight();
    const seen = inSight.filter(({ glance }) => glance <= 0);
    for (const toast of seen) toast.glance = Infinity;
    const notifications = seen.map(({ notification }) => notification).filter(({ seen_at }) => !seen_at);
    if (notifications.length > 0) this._emit("seen", { notifications });
    const over = inSight.filter(({ left }) => left <= 0);
    for (const toast of over) this.#close(toast, "timeout");
    if (over.length > 0) this.#arrange();
    else this.#schedule();
  }

  /**
   * @param {Toast} toast
   * @param {Reason} reason
   */
  #close({ notification }, reason) {
    // A listener may have closed it meanwhile.
    if (!this.#open.delete(notification.id)) return;
    this._emit("close", { notification, reason });
  }

  /**
   * Choose the toasts on screen: those that the user is at, the errors, then the
   * newest. It may be one more than fit, because news must not be hidden by
   * errors that nobody has closed.
   */
  #arrange() {
    const { _holds: holds } = this.#options;
    const limit = this.#options._limit();
    if (this.#open.size <= limit) this._expanded = false;
    const all = this.all();
    const running = all.filter(({ notification }) => runs(notification));
    // Folded until one is left: otherwise they would come and go whenever a task ends or begins.
    this.#folds = !this._expanded && running.length > (this.#folds ? 1 : MOST_RUNNING);
    const folded = running.filter(({ notification }) => this.#folds && !holds(notification.id));
    for (const toast of folded) toast.visible = false;
    const toasts = all.filter((toast) => !folded.includes(toast));
    const shown = toasts.filter((toast) => toast.visible);
    const errors = shown.filter(({ notification }) => notification.level === "error").slice(0, limit);
    const stays = shown.filter((toast) => errors.includes(toast) || holds(toast.notification.id));
    let room = this._expanded ? Infinity : limit - stays.length;
    for (const [age, toast] of toasts.entries()) {
      if (stays.includes(toast)) continue;
      toast.visible = room > 0 || age === 0;
      room -= 1;
    }
    this._emit("change");
    this.#schedule();
  }

  /** Start the timer for the toast that is seen or closes next. */
  #schedule() {
    this.#timer.stop();
    const isPaused = this.#pauses.size > 0;
    const next = Math.min(...this.#inSight().flatMap(({ glance, left }) => (isPaused ? glance : [glance, left])));
    if (next < Infinity) this.#timer.start(Math.min(next, TICK), () => this.#tick());
  }
}
