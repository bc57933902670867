import { listen } from "../platform/emitter.js";
import { isDone } from "../protocol.js";

/** @import { Client } from "../mailbox/client.js" */
/** @import { Notification } from "../protocol.js" */
/** @import { ToastList } from "./toast-list.js" */
/** @import { Toasts } from "./toasts.js" */
/** @typedef {{notification: Notification, reason: string}} Closing */

/**
 * Keeps toasts and notifications in step, both ways: what the user does with a
 * toast marks its notification, and a notification that is marked in any tab
 * loses its toast here. If the server refuses another tab's mark, the toast
 * comes back.
 */
export class ToastSync {
  /** The notifications whose toast was closed here by another tab. @type {Set<number>} */
  #taken = new Set();
  #options;

  /**
   * @param {object} options
   * @param {Client} options.client
   * @param {Toasts} options.toasts
   * @param {ToastList} options.list
   */
  constructor(options) {
    this.#options = options;
  }

  /** @param {AbortSignal} signal */
  start(signal) {
    const { client, list, toasts } = this.#options;
    client.on("reset", () => {
      for (const { notification } of toasts.all()) {
        if (notification.id > 0 && !client.store.get(notification.id)) toasts.close(notification.id, "elsewhere");
      }
    });
    client.on("change", ({ notification, previous, refused }) => {
      // Each tab shows the outcome of an action in its place, for as long as the text takes to read.
      if (notification.outcome && !previous?.outcome && toasts._find(notification.id)) toasts.show(notification, true);
      else if (isDone(notification) || notification.toast === false) toasts.close(notification.id, "elsewhere");
      else if (refused && this.#taken.delete(notification.id)) toasts.show(notification);
      else toasts.update(notification);
    });
    const closed = (/** @type {Closing} */ { notification, reason }) => {
      if (reason === "elsewhere") this.#taken.add(notification.id);
      else if (notification.id > 0) client.mark("dismissed", [notification]);
    };
    toasts.on("close", closed, signal);
    toasts.on("seen", ({ notifications }) => client.mark("seen", notifications), signal);
    // Of the other buttons only the middle one (1) follows a link.
    listen(list._region, "click auxclick", (event) => event.button < 2 && this.#follow(event), signal);
  }

  /** @param {MouseEvent} event */
  #follow({ target }) {
    const link = /** @type {Element} */ (target).closest("a.nf-link, a.nf-action");
    const { client, list } = this.#options;
    const notification = link && client.store.get(list._idAt(link));
    if (notification) client.mark("read", [notification], { leaving: true });
  }
}
