import { element } from "./dom.js";
import { fill } from "./labels.js";
import { createToast, fillToast } from "./toast-view.js";

/** @import { Labels } from "./labels.js" */
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
   * @param {Document} options.document
   * @param {Toasts} options.toasts
   * @param {() => Labels} options.labels
   */
  constructor({ document, toasts, labels }) {
    this.document = document;
    this.toasts = toasts;
    this.labels = labels;
    // Safari takes the list role from a list without markers.
    this.list = element(document, "ol", "nf-list", { role: "list" });
    this.more = element(document, "button", "nf-more", { type: "button", hidden: "" });
    const attributes = { tabindex: "-1", role: "region", popover: "manual", "aria-label": labels().notifications };
    this.region = element(document, "section", "nf-region", attributes, this.list, this.more);
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
        item = createToast(this.document, toast, this.labels());
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

  get focused() {
    return this.region.contains(this.document.activeElement);
  }

  focus() {
    this.region.focus({ preventScroll: true });
  }

  /** Give the focus back to where it came from. */
  leave() {
    const origin = this.#origin;
    if (origin?.isConnected) origin.focus({ preventScroll: true });
    else /** @type {HTMLElement | null} */ (this.document.activeElement)?.blur();
  }

  /**
   * The id of the toast that an event happened in.
   * @param {EventTarget | null} target
   */
  idAt(target) {
    const item = target instanceof Element ? target.closest(".nf-toast") : null;
    return item instanceof HTMLElement ? Number(item.dataset.id) : null;
  }

  #listen() {
    const { region, toasts } = this;
    const ids = { hover: /** @type {number | null} */ (null), focus: /** @type {number | null} */ (null) };
    const hold = () => toasts.hold([ids.hover, ids.focus]);

    region.addEventListener("pointerover", (event) => {
      ids.hover = this.idAt(event.target);
      hold();
      // A finger leaves without a word; it holds while it is down.
      if (event.pointerType !== "touch") toasts.pause("pointer");
    });
    region.addEventListener("pointerleave", () => {
      ids.hover = null;
      hold();
      toasts.pause("pointer", false);
    });
    region.addEventListener("pointerdown", (event) => {
      this.#pointer = true;
      if (event.pointerType === "touch") toasts.pause("touch");
    });
    for (const end of ["pointerup", "pointercancel"]) this.document.addEventListener(end, () => toasts.pause("touch", false));
    region.addEventListener("focusin", (event) => {
      const from = event.relatedTarget;
      if (!(from instanceof Node && region.contains(from))) this.#origin = from instanceof HTMLElement ? from : null;
      ids.focus = this.idAt(event.target);
      hold();
      toasts.pause("focus");
    });
    region.addEventListener("focusout", (event) => {
      if (event.relatedTarget instanceof Node && region.contains(event.relatedTarget)) return;
      ids.focus = null;
      hold();
      toasts.pause("focus", false);
    });
    region.addEventListener("keydown", (event) => {
      this.#pointer = false;
      if (event.key !== "Escape" && event.key !== "Delete") return;
      const id = this.idAt(event.target);
      if (id === null) return;
      // A dialog around the region would take Escape for itself.
      event.preventDefault();
      event.stopPropagation();
      toasts.close(id, "user");
    });
    region.addEventListener("click", (event) => {
      const id = this.idAt(event.target);
      if (id !== null && event.target instanceof Element && event.target.closest(".nf-close")) toasts.close(id, "user");
    });
    this.more.addEventListener("click", () => {
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
    if (item.contains(this.document.activeElement)) this.#passFocus(item);
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
    const open = [...this.list.children].filter((other) => other instanceof HTMLElement && other.dataset.state === "open");
    const index = open.indexOf(item);
    const next = open[index + 1] ?? open[index - 1];
    if (next instanceof HTMLElement && !this.#pointer) next.focus({ preventScroll: true });
    else this.leave();
  }

  #drawMore() {
    const all = this.toasts.all();
    const behind = all.filter((toast) => !toast.visible).length;
    const labels = this.labels();
    this.more.textContent = this.ducked ? `${labels.notifications} (${all.length})` : fill(labels.more, { count: behind });
    this.more.hidden = this.ducked ? all.length === 0 : behind === 0;
  }
}
