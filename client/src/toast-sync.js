/** @import { Client } from "./client.js" */
/** @import { Notification } from "./protocol.js" */
/** @import { SeenWatch } from "./seen.js" */
/** @import { ToastList } from "./toast-list.js" */

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
        if (!client.store.get(notification.id)) toasts.close(notification.id, "elsewhere");
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
    const closed = (/** @type {Event} */ event) => {
      const { notification, reason } = /** @type {CustomEvent} */ (event).detail;
      if (reason === "elsewhere") this.#taken.add(notification.id);
      else client.mark("dismissed", [notification]);
    };
    toasts.addEventListener("close", closed, { signal });
    seen.addEventListener("seen", (event) => client.mark("seen", /** @type {CustomEvent} */ (event).detail.notifications), { signal });
    list.region.addEventListener("click", (event) => this.#follow(event), { signal });
    list.region.addEventListener("auxclick", (event) => event.button === 1 && this.#follow(event), { signal });
  }

  /** @param {MouseEvent} event */
  #follow({ target }) {
    const link = target instanceof Element ? target.closest("a.nf-link, a.nf-action") : null;
    const notification = this.client.store.get(this.list.idAt(link) ?? -1);
    if (notification) this.client.mark("read", [notification], { leaving: true });
  }
}

/** @param {Notification} notification */
function isDone({ read_at, archived_at, dismissed_at }) {
  return Boolean(read_at || archived_at || dismissed_at);
}
