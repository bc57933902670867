import { drawActions } from "../actions/buttons.js";
import { labelsOf } from "../actions/labels.js";
import { Takings } from "../actions/taking.js";
import { element } from "../platform/dom.js";
import { listen } from "../platform/emitter.js";

/** @import { NotifyRoot } from "../elements/root.js" */
/** @import { Notification } from "../protocol.js" */
/** @import { Decoration } from "../toasts/more.js" */

/**
 * Draws the actions that the server runs into the toasts of a root.
 * @implements {Decoration}
 */
class ActionDisplay {
  #takings;
  #root;

  /** @param {NotifyRoot} root */
  constructor(root) {
    this.#root = root;
    this.#takings = new Takings(root, () => redraw());
    const redraw = root.decorate(this);
    listen(root, "notify:change", ({ detail: { notification, previous } }) => {
      // The first change of a row that this tab did not know is no news.
      if (notification.outcome && previous && !previous.outcome) root.announce(notification.outcome.message);
    });
  }

  /**
   * @param {HTMLElement} item
   * @param {Notification} notification
   */
  toast(item, notification) {
    if (!notification.actions.some(({ run }) => run)) return item.querySelector(".nf-runs")?.remove();
    let part = /** @type {HTMLElement | null} */ (item.querySelector(".nf-runs"));
    if (!part) {
      part = element("div", "nf-actions nf-runs");
      item.querySelector(".nf-body")?.append(part);
    }
    drawActions(part, notification, this.#takings, labelsOf(this.#root));
  }

  fold() {
    return undefined;
  }
}

/** The roots whose actions are drawn. @type {WeakSet<NotifyRoot>} */
const known = new WeakSet();

/** Draw the actions of each root, from its first event on. */
export function displayActions() {
  listen(document, "notify:state notify:change", ({ target }) => {
    if (!known.has(target)) new ActionDisplay(target);
    known.add(target);
  });
}
