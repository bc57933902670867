import { listen } from "../platform/emitter.js";
import { isDone } from "../protocol.js";

/** @import { Client } from "../mailbox/client.js" */
/** @import { Notification } from "../protocol.js" */
/** @import { SeenWatch } from "../mailbox/seen.js" */
/** @import { ToastList } from "./toast-list.js" */
/** @typedef {{notification: Notification, reason: string}} Closing */

/**
 * Keeps toasts and notifications in step, both ways: what the reader does with
 * a toast marks its notification, and a notification that is done with, in
 * whatever tab, takes its toast away. If the server refuses another tab's mark,
 * the toast comes back here.
 */
export class ToastSync {
  /** Those whose toast another tab has closed here. @type {Set<number>} */
  #taken = new Set();

  /**
   * @param {object} options
   * @param {Client} options.client
   * @param {ToastList} options.list
   * @param {SeenWatch} options.seen
   */
  constructor({ client, list, seen }) {
    this.client = client;
    this.list = list;
    this.toasts = list.toasts;
    this.seen = seen;
  }

  /** @param {AbortSignal} signal */
  start(signal) {
    this.#listenToClient();
    this.#listenToReader(signal);
  }

  #listenToClient() {
    const { client, toasts } = this;
    client.on("reset", () => {
      for (const { notification } of toasts.all()) {
        if (notification.id > 0 && !client.store.get(notification.id)) toasts.close(notification.id, "elsewhere");
      }
    });
    client.on("change", ({ notification, refused }) => {
      if (isDone(notification)) toasts.close(notification.id, "elsewhere");
      else if (refused && this.#taken.delete(notification.id)) toasts.show(notification);
      else toasts.update(notification);
    });
  }

  /** @param {AbortSignal} signal */
  #listenToReader(signal) {
    const { client, list, toasts, seen } = this;
    const closed = (/** @type {Closing} */ { notification, reason }) => {
      if (reason === "elsewhere") this.#taken.add(notification.id);
      else if (notification.id > 0) client.mark("dismissed", [notification]);
    };
    toasts.on("close", closed, signal);
    seen.on("seen", ({ notifications }) => client.mark("seen", notifications), signal);
    // Of the buttons beside the first, the middle one follows a link.
    listen(list.region, "click auxclick", (event) => event.button < 2 && this.#follow(event), signal);
  }

  /** @param {MouseEvent} event */
  #follow({ target }) {
    const link = /** @type {Element} */ (target).closest("a.nf-link, a.nf-action");
    const notification = link && this.client.store.get(this.list.idAt(link) ?? -1);
    if (notification) this.client.mark("read", [notification], { leaving: true });
  }
}
