import { element } from "../platform/dom.js";
import { listen } from "../platform/emitter.js";
import { MoreButton } from "./more.js";
import { createToast, fillToast } from "./toast-view.js";

/** @import { Decoration, Options } from "./more.js" */
/** @import { Toast } from "./toasts.js" */

/** After so many ms the animation of a new toast is over. Moved into the document again, it must not play again. */
const ARRIVAL = 400;

/** A closing toast is removed after so many ms, whether or not it was animated. */
export const FAREWELL = 180;

/** This share of a toast has to be in view. */
const SHARE = 0.5;

/**
 * Draws the toasts into a labelled region. The newest is the first in the
 * document, so that Tab reaches it first.
 */
export class ToastList {
  /** @type {Map<number, HTMLElement>} */
  #items = new Map();
  /** @type {Decoration[]} */
  #decorations = [];
  /** The element that had the focus before it moved in here. @type {HTMLElement | null} */
  #origin = null;
  /** True if the last action in here was made with a pointer. */
  #pointer = false;
  // Safari drops the list role of a list without markers.
  #list = element("ol", "nf-list", { role: "list" });
  #more;
  #watch = new IntersectionObserver((entries) => this.#look(entries), { threshold: SHARE });
  #options;

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
    this.#more = new MoreButton(options);
    this._region = element("section", "nf-region", { tabindex: "-1", role: "region", popover: "manual" }, this.#list, this.#more._button);
    this.#listen();
  }

  /** Draw the toasts as they are now. */
  draw() {
    const { toasts } = this.#options;
    for (const [id, item] of this.#items) {
      const toast = toasts._find(id);
      if (!toast?.visible) this.#remove(id, item, !toast);
    }

    /** @type {Element | null} */
    let next = this.#list.firstElementChild;
    for (const toast of toasts.visible()) {
      const item = this.#drawItem(toast);
      while (next && /** @type {HTMLElement} */ (next).dataset.state === "closing") next = next.nextElementSibling;
      if (item === next) next = next.nextElementSibling;
      else this.#list.insertBefore(item, next);
    }
    this.#decorate();
  }

  /**
   * Let another script add to the toasts, now and whenever they are drawn. Returns a function that repeats it.
   * @param {Decoration} draw
   */
  decorate(draw) {
    this.#decorations.push(draw);
    this.#decorate();
    return () => this.#decorate();
  }

  /** Collapse to a chip that uncovers what is underneath, or expand again. */
  _duck(on = true) {
    this._region.toggleAttribute("data-ducked", on);
    this.#drawMore();
  }

  get _ducked() {
    return this._region.hasAttribute("data-ducked");
  }

  get _isEmpty() {
    return this.#options.toasts.size === 0;
  }

  /** The area that the toasts cover. */
  get _area() {
    return this.#list.getBoundingClientRect();
  }

  /**
   * Returns true if the user is at a toast: under the pointer or focused, it is not pushed off the screen.
   * @param {number} id
   */
  _holds(id) {
    return Boolean(this.#items.get(id)?.matches(":hover, :focus-within"));
  }

  get _focused() {
    return this._region.contains(document.activeElement);
  }

  /** Move the focus to the newest toast, or to the region if all toasts are folded. */
  focus() {
    this._region.focus({ preventScroll: true });
    // Only now it is on screen, if the toasts had collapsed.
    this.#open()[0]?.focus({ preventScroll: true });
  }

  /** Give the focus back to the element that it came from. */
  leave() {
    const origin = this.#origin;
    if (origin?.isConnected) origin.focus({ preventScroll: true });
    else /** @type {HTMLElement | null} */ (document.activeElement)?.blur();
  }

  /**
   * The id of the toast in which an event happened, or NaN.
   * @param {Element} target
   */
  _idAt(target) {
    return Number(target.closest(".nf-toast")?.getAttribute("data-id"));
  }

  #listen() {
    const region = this._region;
    const { toasts } = this.#options;
    listen(region, "pointerover", (event) => {
      // No pointerleave follows when a finger is lifted. It pauses the toasts while it is down.
      if (event.pointerType !== "touch") toasts._pause("pointer");
    });
    listen(region, "pointerleave", () => toasts._pause("pointer", false));
    listen(region, "pointerdown", (event) => {
      this.#pointer = true;
      if (event.pointerType === "touch") toasts._pause("touch");
    });
    listen(document, "pointerup pointercancel", () => toasts._pause("touch", false));
    listen(region, "focusin", ({ relatedTarget }) => {
      if (!region.contains(relatedTarget)) this.#origin = relatedTarget;
      toasts._pause("focus");
    });
    listen(region, "focusout", ({ relatedTarget }) => {
      if (!region.contains(relatedTarget)) toasts._pause("focus", false);
    });
    listen(region, "keydown", (event) => {
      this.#pointer = false;
      if (event.key !== "Escape" && event.key !== "Delete") return;
      const id = this._idAt(event.target);
      if (!id) return;
      // Otherwise Escape would also close a dialog around the region.
      event.preventDefault();
      event.stopPropagation();
      toasts.close(id, "user");
    });
    listen(region, "click", ({ target }) => {
      if (target.closest(".nf-close")) toasts.close(this._idAt(target), "user");
    });
    listen(this.#more._button, "click", () => {
      if (this._ducked) this._duck(false);
      else toasts.expand();
      if (this.#more._button.hidden) this.focus();
    });
  }

  /** @param {Toast} toast */
  #drawItem({ notification, quiet }) {
    const known = this.#items.get(notification.id);
    const item = known ?? createToast(notification);
    fillToast(item, notification, this.#options.labels());
    if (known) return item;
    this.#items.set(notification.id, item);
    this.#watch.observe(item);
    if (!quiet) {
      item.dataset.fresh = "";
      setTimeout(() => delete item.dataset.fresh, ARRIVAL);
    }
    return item;
  }

  /** @param {IntersectionObserverEntry[]} entries */
  #look(entries) {
    for (const { target, intersectionRatio } of entries) this.#options.toasts.look(this._idAt(target), intersectionRatio >= SHARE);
  }

  #decorate() {
    for (const { notification } of this.#options.toasts.visible()) {
      const item = this.#items.get(notification.id);
      for (const draw of this.#decorations) if (item) draw.toast(item, notification);
    }
    this.#drawMore();
  }

  #drawMore() {
    this.#more.draw(this._ducked, this.#decorations);
  }

  /**
   * @param {number} id
   * @param {HTMLElement} item
   * @param {boolean} closed  for good, and not only moved behind "N more"
   */
  #remove(id, item, closed) {
    this.#items.delete(id);
    this.#watch.unobserve(item);
    if (item.contains(document.activeElement)) this.#passFocus(item);
    if (!closed) return item.remove();
    item.dataset.state = "closing";
    item.inert = true;
    setTimeout(() => item.remove(), FAREWELL);
  }

  /** The toasts on screen that are not closing, newest first. */
  #open() {
    return /** @type {HTMLElement[]} */ ([...this.#list.querySelectorAll("[data-state=open]")]);
  }

  /**
   * Move the focus of a keyboard user to the next toast. After a click it leaves
   * the toasts, because a focus in them would keep the others on screen.
   * @param {HTMLElement} item
   */
  #passFocus(item) {
    const open = this.#open();
    const index = open.indexOf(item);
    const next = open[index + 1] ?? open[index - 1];
    if (next && !this.#pointer) next.focus({ preventScroll: true });
    else this.leave();
  }
}
