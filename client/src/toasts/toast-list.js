import { element } from "../platform/dom.js";
import { listen } from "../platform/emitter.js";
import { fill } from "../platform/labels.js";
import { createToast, fillToast } from "./toast-view.js";

/** @import { Labels } from "../platform/labels.js" */
/** @import { Toasts } from "./toasts.js" */

/** The animation of a new toast is over; shown again, it must not play again. */
const ARRIVAL = 400;

/** A closing toast is gone after this time, whether or not it was animated. */
export const FAREWELL = 180;

/**
 * Draws the toasts into a labelled region: the newest first in the document,
 * so that Tab meets it first.
 */
export class ToastList {
  /** @type {Map<number, HTMLElement>} */
  #items = new Map();
  /** Where the focus was before it came in here. @type {HTMLElement | null} */
  #origin = null;
  /** Whether the last thing done here was done with a pointer. */
  #pointer = false;

  /**
   * @param {object} options
   * @param {Toasts} options.toasts
   * @param {() => Labels} options.labels
   */
  constructor({ toasts, labels }) {
    this.toasts = toasts;
    this.labels = labels;
    // Safari takes the list role from a list without markers.
    this.list = element("ol", "nf-list", { role: "list" });
    this.more = element("button", "nf-more", { type: "button", hidden: "" });
    this.region = element("section", "nf-region", { tabindex: "-1", role: "region", popover: "manual" }, this.list, this.more);
    this.#listen();
  }

  /** Draw what the toasts are now. */
  draw() {
    const visible = this.toasts.visible();
    const wanted = new Set(visible.map(({ notification }) => notification.id));
    const open = new Set(this.toasts.all().map(({ notification }) => notification.id));
    for (const [id, item] of this.#items) if (!wanted.has(id)) this.#remove(id, item, !open.has(id));

    /** @type {Element | null} */
    let next = this.list.firstElementChild;
    for (const toast of visible) {
      const { id } = toast.notification;
      let item = this.#items.get(id);
      if (item) {
        fillToast(item, toast.notification, this.labels());
      } else {
        item = createToast(toast, this.labels());
        this.#items.set(id, item);
        if (!toast.quiet) this.#welcome(item);
      }
      while (next && /** @type {HTMLElement} */ (next).dataset.state === "closing") next = next.nextElementSibling;
      if (item === next) next = next.nextElementSibling;
      else this.list.insertBefore(item, next);
    }
    this.#drawMore();
  }

  /** Collapse to a chip that lets what is underneath be seen, or come back. */
  duck(on = true) {
    this.region.toggleAttribute("data-ducked", on);
    this.#drawMore();
  }

  get ducked() {
    return this.region.hasAttribute("data-ducked");
  }

  /**
   * Whether the reader is at one: what is under the pointer or has the focus is not pushed off the screen.
   * @param {number} id
   */
  holds(id) {
    return Boolean(this.#items.get(id)?.matches(":hover, :focus-within"));
  }

  get focused() {
    return this.region.contains(document.activeElement);
  }

  focus() {
    this.region.focus({ preventScroll: true });
  }

  /** Give the focus back to where it came from. */
  leave() {
    const origin = this.#origin;
    if (origin?.isConnected) origin.focus({ preventScroll: true });
    else /** @type {HTMLElement | null} */ (document.activeElement)?.blur();
  }

  /**
   * The id of the toast that an event happened in.
   * @param {Element} target
   */
  idAt(target) {
    const item = /** @type {HTMLElement | null} */ (target.closest(".nf-toast"));
    return item && Number(item.dataset.id);
  }

  #listen() {
    const { region, toasts } = this;

    listen(region, "pointerover", (event) => {
      // A finger leaves without a word; it holds while it is down.
      if (event.pointerType !== "touch") toasts.pause("pointer");
    });
    listen(region, "pointerleave", () => {
      toasts.pause("pointer", false);
    });
    listen(region, "pointerdown", (event) => {
      this.#pointer = true;
      if (event.pointerType === "touch") toasts.pause("touch");
    });
    listen(document, "pointerup pointercancel", () => toasts.pause("touch", false));
    listen(region, "focusin", (event) => {
      const from = event.relatedTarget;
      if (!region.contains(from)) this.#origin = from;
      toasts.pause("focus");
    });
    listen(region, "focusout", (event) => {
      if (region.contains(event.relatedTarget)) return;
      toasts.pause("focus", false);
    });
    listen(region, "keydown", (event) => {
      this.#pointer = false;
      if (event.key !== "Escape" && event.key !== "Delete") return;
      const id = this.idAt(event.target);
      if (id === null) return;
      // A dialog around the region would take Escape for itself.
      event.preventDefault();
      event.stopPropagation();
      toasts.close(id, "user");
    });
    listen(region, "click", (event) => {
      const id = this.idAt(event.target);
      if (id !== null && event.target.closest(".nf-close")) toasts.close(id, "user");
    });
    listen(this.more, "click", () => {
      if (this.ducked) this.duck(false);
      else toasts.expand();
      if (this.more.hidden) this.focus();
    });
  }

  /** @param {HTMLElement} item */
  #welcome(item) {
    item.dataset.fresh = "";
    setTimeout(() => delete item.dataset.fresh, ARRIVAL);
  }

  /**
   * @param {number} id
   * @param {HTMLElement} item
   * @param {boolean} closed  for good, and not only behind "N more"
   */
  #remove(id, item, closed) {
    this.#items.delete(id);
    if (item.contains(document.activeElement)) this.#passFocus(item);
    if (!closed) return item.remove();
    item.dataset.state = "closing";
    item.inert = true;
    item.removeAttribute("id");
    setTimeout(() => item.remove(), FAREWELL);
  }

  /**
   * Keyboard users go on with the next toast; a click leaves no focus behind,
   * which would hold the others on screen.
   * @param {HTMLElement} item
   */
  #passFocus(item) {
    const items = /** @type {HTMLElement[]} */ ([...this.list.children]);
    const open = items.filter((other) => other.dataset.state === "open");
    const index = open.indexOf(item);
    const next = open[index + 1] ?? open[index - 1];
    if (next && !this.#pointer) next.focus({ preventScroll: true });
    else this.leave();
  }

  #drawMore() {
    const all = this.toasts.all();
    const behind = all.filter((toast) => !toast.visible);
    const labels = this.labels();
    const whole = this.ducked || this.toasts.expanded;
    this.more.textContent = whole ? `${labels.notifications} (${all.length})` : fill(labels.more, { count: behind.length });
    this.more.dataset.ids = behind.map(({ notification }) => notification.id).join(" ");
    this.more.ariaExpanded = /** @type {any} */ (whole && !this.ducked);
    this.more.hidden = (whole ? all : behind).length === 0;
  }
}
