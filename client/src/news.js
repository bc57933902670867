/**
 * The script of many notifications, of the page's own toasts and of the ways to close them. It reaches notify.js
 * through <notify-root> alone. `{% notify %}` loads it before notify.js, so that it receives each event of the root
 * from the first one on.
 */
import { listen } from "./platform/emitter.js";
import { defineMessages } from "./news/messages.js";
import { News } from "./news/news.js";
import { LEVELS, requested } from "./news/own.js";
import { startSwiping } from "./news/swipe.js";

/** @import { NotifyRoot } from "./elements/root.js" */
/** @import { ToastOptions } from "./news/own.js" */

/** @type {WeakMap<NotifyRoot, News>} */
const all = new WeakMap();

/** @param {NotifyRoot} root */
function newsOf(root) {
  const news = all.get(root) ?? new News(root);
  all.set(root, news);
  return news;
}

/** The root that is on the page, once its script has defined it. */
function find() {
  return /** @type {NotifyRoot | null} */ (document.querySelector("notify-root:defined"));
}

/**
 * @this {NotifyRoot}
 * @param {string} message
 * @param {ToastOptions} [options]
 */
function toast(message, options) {
  return newsOf(this)._toast(message, options);
}

listen(document, "notify:state notify:change notify:reset", ({ type, target, detail }) => {
  const news = newsOf(target);
  if (type === "notify:change") news._change(detail.notification);
  if (type === "notify:reset") news._reset();
});
// On the window, so that the listeners of the page come first: a notification whose toast they suppress is not counted.
listen(window, "notify:notification", (event) => {
  if (!event.defaultPrevented && newsOf(event.target)._take(event.detail.notification)) event.preventDefault();
});
listen(document, "notify:toast", async ({ detail }) => {
  await customElements.whenDefined("notify-root");
  const root = find();
  for (const [message, options] of requested(detail)) {
    try {
      if (root) newsOf(root)._toast(message, options);
    } catch (error) {
      // Not thrown, because whoever dispatched the event did nothing wrong.
      console.error(error);
    }
  }
});
listen(document, "visibilitychange", () => {
  const root = find();
  if (root && !document.hidden) newsOf(root)._wake();
});
listen(document, "click auxclick", (event) => {
  const link = event.target.closest?.("notify-root .nf-link");
  const summary = link && newsOf(link.closest("notify-root"))._summary;
  if (event.button > 1 || !summary?._has(link)) return;
  // A panel on this page opens instead of the link.
  if (event.type === "click" && !document.dispatchEvent(new CustomEvent("notify:open-inbox", { cancelable: true }))) event.preventDefault();
  summary._drop(() => true);
});
startSwiping(document);
defineMessages();
customElements.whenDefined("notify-root").then(({ prototype }) => {
  prototype.toast = toast;
  for (const level of LEVELS) {
    /** @this {any} @param {string} message @param {ToastOptions} [options] */
    prototype[level] = function (message, options) {
      return this.toast(message, { ...options, level });
    };
  }
});
