/**
 * The script that shows the progress of tasks. It reaches notify.js through
 * <notify-root> alone, so it can be loaded before or after it, or be left out.
 */
import { listen } from "./platform/emitter.js";
import { promise } from "./progress/promise.js";
import { TaskDisplay } from "./progress/task-display.js";

/** @import { NotifyRoot } from "./elements/root.js" */

/** @type {WeakMap<NotifyRoot, TaskDisplay>} */
const displays = new WeakMap();

/** @param {NotifyRoot} root */
function displayOf(root) {
  const display = displays.get(root) ?? new TaskDisplay(root);
  displays.set(root, display);
  return display;
}

/** Draw the tasks of the root that is on the page already. */
function look() {
  const root = /** @type {any} */ (document.querySelector("notify-root:defined"));
  if (root) displayOf(root).redraw();
}

listen(document, "notify:state notify:change", ({ target }) => displayOf(target).update());
listen(document, "visibilitychange", look);
customElements.whenDefined("notify-root").then(({ prototype }) => {
  Object.assign(prototype, { promise });
  look();
});
