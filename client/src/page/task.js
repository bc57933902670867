import { define, element } from "../platform/dom.js";
import { listen } from "../platform/emitter.js";
import { safeHref } from "../platform/href.js";
import { runs } from "../protocol.js";

/** @import { Notification, Tick } from "../protocol.js" */

/**
 * `<notify-progress key="export">`: the bar of one task inside the page, and
 * then its result in place. The server renders it, so it is right without a
 * script; this follows the notification with the key.
 */
class NotifyProgress extends HTMLElement {
  #listening = new AbortController();
  /** The task as it is shown. @type {Notification | null} */
  #shown = null;
  /** @type {unknown} */
  #client = null;

  connectedCallback() {
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    listen(document, "notify:change", ({ detail }) => this.#take(detail.notification), signal);
    listen(document, "notify:state notify:reset", ({ target }) => this.#follow(target), signal);
    const root = document.querySelector("notify-root:defined");
    if (root) this.#follow(root);
  }

  disconnectedCallback() {
    this.#listening.abort();
    this.#client = null;
  }

  /** @param {any} root */
  #follow({ client }) {
    if (!client) return;
    for (const notification of client.store.all()) this.#take(notification);
    if (client === this.#client) return;
    this.#client = client;
    client.on("tick", (/** @type {{ticks: Tick[]}} */ { ticks }) => ticks.forEach((tick) => this.#advance(tick)), this.#listening.signal);
  }

  /** @param {Notification} notification */
  #take(notification) {
    const { key, progress, archived_at: archived, arrived } = notification;
    const shown = this.#shown;
    // A task that is archived stays as it is shown until the page is left, because its user is looking at it.
    if (key !== this.getAttribute("key") || !progress || archived || (shown && arrived < shown.arrived)) return;
    // A row is behind the ticks that have come since it was written.
    const before = shown?.progress;
    const isBehind = shown?.id === notification.id && runs(notification) && before?.attempt === progress.attempt && before.total === progress.total && before.done > progress.done;
    this.#draw(isBehind ? { ...notification, progress: { ...progress, done: before.done, message: before.message } } : notification);
  }

  /** @param {Tick} tick */
  #advance({ id, attempt, done, total, message }) {
    const shown = this.#shown;
    const progress = shown?.progress;
    if (shown?.id !== id || progress?.state !== "running" || progress.attempt !== attempt || done < progress.done) return;
    this.#draw({ ...shown, progress: { ...progress, done, total, message } });
  }

  /** @param {Notification} notification */
  #draw(notification) {
    this.#shown = notification;
    const isRunning = runs(notification);
    const { done, total, message, state } = /** @type {import("../protocol.js").Progress} */ (notification.progress);
    const title = isRunning ? notification.message : notification.title;
    if (!this.querySelector("progress")) {
      this.replaceChildren(element("p", "nf-task-title"), document.createElement("progress"), element("p", "nf-task-text"));
    }
    const [heading, bar, text] = /** @type {any} */ (this.children);
    this.setAttribute("state", state);
    heading.textContent = title;
    heading.hidden = !title;
    bar.hidden = !isRunning;
    bar.setAttribute("aria-label", title);
    if (total === null) bar.removeAttribute("value");
    else {
      bar.max = total;
      bar.value = done;
    }
    const href = isRunning ? null : safeHref(notification.url);
    const shown = isRunning ? message : notification.message;
    text.replaceChildren(href ? element("a", "", { href }, shown) : shown);
  }
}

export function defineTask() {
  define("notify-progress", NotifyProgress);
}
