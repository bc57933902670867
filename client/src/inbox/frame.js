import { dress, element } from "../platform/dom.js";
import { listen } from "../platform/emitter.js";
import { safeHref } from "../platform/href.js";
import { VIEWS } from "./lists.js";
import { picture } from "./pictures.js";

/**
 * @import { Texts } from "./labels.js"
 * @import { View } from "./lists.js"
 *
 * @typedef {object} Handlers
 * @property {(view: View) => void} choose
 * @property {() => void} readAll
 * @property {() => void} showWaiting
 * @property {() => void} older
 * @property {() => void} retry
 * @property {() => void} closed
 *
 * @typedef {object} Picture  what the frame shows around the rows
 * @property {View} view
 * @property {number} unread
 * @property {number} rows
 * @property {boolean} isKnown  whether the server has answered
 * @property {boolean} isReading
 * @property {boolean} hasMore
 * @property {string} waiting  how many new rows wait; empty if none do
 * @property {{text: string, retry?: boolean} | null} note
 */

/** The attribute of the bell at which the panel is open, for the style sheet. */
const ANCHOR = "data-nf-open";

/** So many rows stand in for those that are being read. */
const BONES = 4;

/** The dialog around the rows. It is a child of <body>, so that the rules of a site's header do not reach it. */
export class Frame {
  /** The elements get a random id, because users of the site may be able to give their own elements any other. */
  #id = `nf-panel-${Math.random().toString(36).slice(2)}`;
  #heading;
  #count = element("span", "nf-inbox-count");
  #readAll = element("button", "", { type: "button", hidden: "" });
  #note = element("div", "nf-inbox-note", { role: "status" });
  #retry = element("button", "", { type: "button" });
  #pill = element("button", "nf-panel-pill", { type: "button", hidden: "" });
  #empty = element("p", "nf-inbox-empty", { hidden: "" });
  #bones = element("div", "nf-panel-bones", { "aria-hidden": "true", hidden: "" }, ...Array.from({ length: BONES }, () => element("div", "nf-panel-bone")));
  #older = element("button", "nf-panel-older", { type: "button", hidden: "" });
  /** @type {Record<string, HTMLInputElement>} */
  #views = {};
  /** @type {HTMLElement | null} */
  #bell = null;
  /** @type {HTMLElement | null} */
  #invoker = null;
  #texts;
  #handlers;
  scroller = element("div", "nf-panel-list");
  /** The list, and what lies above it. */
  body = element("div", "nf-panel-body", {}, this.#pill, this.scroller);
  element;

  /**
   * @param {Texts} texts
   * @param {Element} bell
   * @param {Handlers} handlers
   */
  constructor(texts, bell, handlers) {
    const { own, root } = texts;
    this.#texts = texts;
    this.#handlers = handlers;
    // No <h2>, for which sites have rules of their own.
    this.#heading = element("div", "nf-panel-title", { id: `${this.#id}-title`, role: "heading", "aria-level": 2 }, root.notifications);
    const close = element("button", "nf-panel-close", { type: "button", "aria-label": own.close }, picture("close"));
    const href = safeHref(bell.querySelector("a")?.href ?? "");
    this.#readAll.append(own.read_all);
    this.#retry.append(own.retry);
    this.#older.append(own.older);
    this.scroller.append(this.#bones, this.#empty, this.#older);
    this.element = element(
      "section",
      "nf-inbox nf-panel",
      { id: this.#id, role: "dialog", "aria-labelledby": this.#heading.id, tabindex: -1, popover: "auto" },
      element("header", "nf-inbox-head", {}, this.#heading, this.#count, this.#readAll, close),
      this.#tabs(),
      this.#note,
      this.body,
      element("footer", "nf-panel-foot", {}, ...(href ? [element("a", "", { href }, own.inbox)] : [])),
    );
    listen(close, "click", () => this.close());
    listen(this.#readAll, "click", () => {
      // The button goes away.
      this.element.focus({ preventScroll: true });
      handlers.readAll();
    });
    listen(this.#pill, "click", handlers.showWaiting);
    listen(this.#retry, "click", handlers.retry);
    listen(this.#older, "click", handlers.older);
    new IntersectionObserver(([{ isIntersecting }]) => isIntersecting && handlers.older(), { root: this.scroller, rootMargin: "200px" }).observe(this.#older);
    this.#listen();
  }

  get isOpen() {
    return this.#bell !== null;
  }

  /** @param {Element} list */
  put(list) {
    this.#empty.before(list);
  }

  /**
   * @param {HTMLElement} bell
   * @param {HTMLElement} invoker
   */
  open(bell, invoker) {
    this.#release();
    this.#bell = bell;
    this.#invoker = invoker;
    dress(bell, { [ANCHOR]: "" });
    const link = bell.querySelector("a");
    if (link) dress(link, { "aria-expanded": "true", "aria-controls": this.#id });
    // The body may have been replaced, and its direction and language with it.
    if (!this.element.isConnected) document.body.append(this.element);
    this.element.setAttribute("data-open", "");
    const { element } = this;
    if (element.showPopover && !element.matches(":popover-open")) element.showPopover();
    element.focus({ preventScroll: true });
  }

  close() {
    if (!this.isOpen) return;
    const hadFocus = this.element.contains(document.activeElement) || document.activeElement === document.body;
    const invoker = this.#invoker;
    this.#release();
    this.element.removeAttribute("data-open");
    if (this.element.hidePopover && this.element.matches(":popover-open")) this.element.hidePopover();
    if (hadFocus) invoker?.focus({ preventScroll: true });
    this.#handlers.closed();
  }

  /** @param {Picture} picture */
  draw({ view, unread, rows, isKnown, isReading, hasMore, waiting, note }) {
    const { own } = this.#texts;
    const count = this.#texts.counted("count", unread);
    if (this.#count.textContent !== count) this.#count.textContent = count;
    for (const name of VIEWS) this.#views[name].checked = name === view;
    const isFirst = !isKnown && isReading;
    this.#readAll.hidden = unread === 0 || rows === 0 || view === "archived";
    this.#bones.hidden = !isFirst;
    this.#empty.hidden = !isKnown || rows > 0;
    this.#empty.textContent = own[`no_${view}`];
    this.#older.hidden = !hasMore;
    dress(this.#older, { "aria-disabled": String(isReading) });
    dress(this.scroller, { "aria-busy": String(isFirst) });
    if (this.#pill.textContent !== waiting) this.#pill.textContent = waiting;
    this.#pill.hidden = !waiting;
    this.#drawNote(note);
  }

  /** @param {Picture["note"]} note */
  #drawNote(note) {
    const text = note?.text ?? "";
    this.#note.toggleAttribute("data-empty", !text);
    if (this.#note.dataset.text === text) return;
    this.#note.dataset.text = text;
    const hadFocus = this.#note.contains(document.activeElement);
    this.#note.replaceChildren(element("span", "", {}, text), ...(note?.retry ? [this.#retry] : []));
    if (hadFocus) this.element.focus({ preventScroll: true });
  }

  /** The lists, as radio buttons: the arrow keys choose among them, in the direction of the page. */
  #tabs() {
    const { own } = this.#texts;
    const choices = VIEWS.map((view) => {
      const input = element("input", "", { type: "radio", name: this.#id, value: view });
      this.#views[view] = input;
      return element("label", "", {}, input, element("span", "", {}, own[view]));
    });
    const tabs = element("div", "nf-panel-tabs", { role: "radiogroup", "aria-label": own.lists }, ...choices);
    listen(tabs, "change", ({ target }) => this.#handlers.choose(target.value));
    return tabs;
  }

  #listen() {
    const { element } = this;
    // Escape and a press outside close a popover.
    listen(element, "toggle", ({ newState }) => {
      if (newState === "closed") this.close();
    });
    listen(element, "keydown", (event) => {
      if (event.key !== "Escape") return;
      // Otherwise a dialog of the page around it would close as well.
      event.preventDefault();
      event.stopPropagation();
      this.close();
    });
    // The focus has gone on, behind the last control or before the first.
    listen(element, "focusout", ({ relatedTarget }) => {
      if (relatedTarget && !element.contains(relatedTarget) && !this.#bell?.contains(relatedTarget)) this.close();
    });
    // A browser without popovers.
    listen(document, "pointerdown", ({ target }) => {
      if (this.isOpen && !element.showPopover && !element.contains(target) && !this.#bell?.contains(target)) this.close();
    });
  }

  /** The bell is no longer that of an open panel. */
  #release() {
    this.#bell?.removeAttribute(ANCHOR);
    this.#bell?.querySelector("a")?.setAttribute("aria-expanded", "false");
    this.#bell = this.#invoker = null;
  }
}
