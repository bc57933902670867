import { listen } from "../platform/emitter.js";

/** @import { ToastList } from "../toasts/toast-list.js" */

/**
 * Gets the toasts out of the way of a user who works underneath: if they cover
 * the focused element completely they collapse (WCAG 2.4.11), and if they cover
 * it in part Escape collapses them.
 */
export class Ducking {
  /** The area that the toasts covered before they collapsed. @type {any} */
  #area;
  #list;

  /** @param {ToastList} list */
  constructor(list) {
    this.#list = list;
  }

  /** @param {AbortSignal} signal */
  start(signal) {
    listen(document, "focusin", ({ target }) => this.look(target), signal);
    const press = (/** @type {KeyboardEvent} */ { key }) => {
      if (key === "Escape" && this.#covers(document.activeElement, overlaps)) this.#list._duck();
    };
    listen(document, "keydown", press, signal);
  }

  /** Compare the toasts with the focused element again. */
  look(target = /** @type {EventTarget | null} */ (document.activeElement)) {
    if (this.#list._isEmpty || this.#list._focused) this.#list._duck(false);
    else if (this.#covers(target, contains)) this.#list._duck();
    else if (this.#list._ducked && !this.#covers(target, overlaps)) this.#list._duck(false);
  }

  /**
   * @param {EventTarget | null} target
   * @param {(area: DOMRect, rect: DOMRect) => boolean} test
   */
  #covers(target, test) {
    if (!(target instanceof Element) || target === document.body || this.#list._isEmpty || this.#list._region.contains(target)) return false;
    if (!this.#list._ducked) this.#area = this.#list._area;
    const rect = target.getBoundingClientRect();
    return rect.width > 0 && test(this.#area, rect);
  }
}

/**
 * @param {DOMRect} area
 * @param {DOMRect} rect
 */
function contains(area, rect) {
  return area.left <= rect.left && area.right >= rect.right && area.top <= rect.top && area.bottom >= rect.bottom;
}

/**
 * @param {DOMRect} area
 * @param {DOMRect} rect
 */
function overlaps(area, rect) {
  return area.left < rect.right && area.right > rect.left && area.top < rect.bottom && area.bottom > rect.top;
}
