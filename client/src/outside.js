/**
 * The script of the signs outside the page: the title of a hidden tab, the badge of an installed app, and a
 * sound. `{% notify %}` loads it if the page asks for one of them.
 */
import { drawAppBadge, drawTitle, play } from "./news/outside.js";
import { listen } from "./platform/emitter.js";

/** @import { NotifyRoot } from "./elements/root.js" */

listen(document, "notify:counts visibilitychange", ({ type }) => {
  const root = /** @type {NotifyRoot | null} */ (document.querySelector("notify-root:defined"));
  if (!root) return;
  const unseen = root.counts?.unseen ?? 0;
  drawTitle(root, unseen);
  if (type === "notify:counts") drawAppBadge(root, unseen);
});
listen(document, "notify:notification", ({ target, detail: { notification } }) => {
  if (!notification.progress && !notification.seen_at && notification.toast !== false) play(target);
});
