import { Emitter } from "../platform/emitter.js";

/** @import { Notification } from "../protocol.js" */

/** On screen for this long, in a visible tab: seen. */
const GLANCE = 1_000;

/**
 * Notices what the reader had before their eyes long enough, several at once
 * where they came together. Event: `seen` ({notifications}).
 */
export class SeenWatch extends Emitter {
  /** Since when each one is in view. @type {Map<number, {notification: Notification, since: number}>} */
  #watched = new Map();
  /** @type {any} */
  #timer;

  /**
   * Call when the screen or the tab's visibility changes.
   * @param {Notification[]} notifications  now on screen
   */
  look(notifications) {
    const inView = document.hidden ? [] : notifications.filter((notification) => !notification.seen_at);
    const now = Date.now();
    this.#watched = new Map(
      inView.map((notification) => {
        const watched = this.#watched.get(notification.id);
        // New content under the same id is looked at anew.
        const since = watched?.notification.arrived === notification.arrived ? watched.since : now;
        return [notification.id, { notification, since }];
      }),
    );
    this.#schedule();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#watched.clear();
  }

  #schedule() {
    clearTimeout(this.#timer);
    if (this.#watched.size === 0) return;
    const first = Math.min(...[...this.#watched.values()].map(({ since }) => since));
    this.#timer = setTimeout(() => this.#report(), first + GLANCE - Date.now());
  }

  #report() {
    const now = Date.now();
    const seen = [...this.#watched.values()].filter(({ since }) => now - since >= GLANCE);
    for (const { notification } of seen) this.#watched.delete(notification.id);
    this.#schedule();
    const notifications = seen.map(({ notification }) => notification);
    if (notifications.length > 0) this.emit("seen", { notifications });
  }
}
