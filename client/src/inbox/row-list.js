import { element } from "../platform/dom.js";
import { fold } from "./order.js";
import { RowView } from "./row-view.js";
import { Sight } from "./seen.js";

/**
 * @import { Notification } from "../protocol.js"
 * @import { Context } from "./row-view.js"
 *
 * @typedef {object} Item  a row on the screen
 * @property {HTMLElement} item
 * @property {RowView} view
 * @property {Notification} row
 * @property {HTMLElement} [line]  in place of the row, while it can be brought back from the archive
 * @property {HTMLDetailsElement} [details]  with the other rows of its group
 */

/** Draws rows into a list. A row keeps its element for as long as it is in the list. */
export class RowList {
  /** @type {Map<number, Item>} */
  #items = new Map();
  #context;
  #sight;
  element = element("ul", "nf-inbox-list", { role: "list" });

  /**
   * @param {Element} scroller
   * @param {Context & {seen: (ids: number[]) => void, undo: (id: number) => void}} context
   */
  constructor(scroller, context) {
    this.#context = context;
    this.#sight = new Sight(scroller, context.seen);
  }

  /**
   * @param {Notification[]} rows  in their order
   * @param {Set<number>} archived  those that are shown as a line, with which they can be brought back
   */
  draw(rows, archived) {
    const focus = this.#focused();
    const ids = new Set(rows.map(({ id }) => id));
    for (const [id, { view }] of this.#items) {
      if (ids.has(id)) continue;
      this.#sight.remove(view.element);
      this.#items.delete(id);
    }
    const drawn = fold(rows).map(({ row, others }) => this.#draw(row, others, archived));
    reconcile(this.element, drawn);
    if (focus) this.#refocus(focus);
    this.#sight.report();
  }

  /** Bring the times up to date. */
  _tell() {
    for (const { view, row } of this.#items.values()) view.tell(row);
  }

  /** Move the focus to the first row. */
  focus() {
    /** @type {HTMLElement | null} */ (this.element.querySelector("a, button, summary"))?.focus({ preventScroll: true });
  }

  /**
   * Returns whether the user is at the line of a row.
   * @param {number} id
   */
  _holds(id) {
    const line = this.#items.get(id)?.line;
    return Boolean(line?.matches(":hover") || line?.querySelector(":focus-visible"));
  }

  /**
   * @param {Notification} row
   * @param {Notification[]} others
   * @param {Set<number>} archived
   * @returns {HTMLElement}
   */
  #draw(row, others, archived) {
    const known = this.#items.get(row.id) ?? this.#make(row);
    known.row = row;
    const parts = [this.#isLine(known, archived) ? this.#line(known) : known.view.element];
    if (parts[0] !== known.line) known.view.fill(row);
    if (others.length > 0) parts.push(this.#others(known, others, archived));
    reconcile(known.item, parts);
    return known.item;
  }

  /**
   * @param {Notification} row
   * @returns {Item}
   */
  #make(row) {
    const view = new RowView(row.id, this.#context);
    const made = { item: element("li", ""), view, row };
    this.#sight.add(view.element);
    this.#items.set(row.id, made);
    return made;
  }

  /**
   * @param {Item} item
   * @param {Set<number>} archived
   */
  #isLine({ row }, archived) {
    return archived.has(row.id) && row.archived_at !== null;
  }

  /** @param {Item} item */
  #line(item) {
    if (item.line) return item.line;
    const { own } = this.#context.texts;
    const { id, title, message } = item.row;
    const undo = element("button", "nf-panel-undo", { type: "button", "aria-label": `${own.undo}: ${title || message}` }, own.undo);
    undo.addEventListener("click", () => this.#context.undo(id));
    item.line = element("div", "nf-inbox-note", {}, element("span", "", { role: "status" }, own.was_archived), undo);
    return item.line;
  }

  /**
   * @param {Item} item
   * @param {Notification[]} others
   * @param {Set<number>} archived
   */
  #others(item, others, archived) {
    item.details ??= element("details", "nf-inbox-others", {}, element("summary", ""), element("ul", "nf-inbox-list", { role: "list" }));
    const [summary, list] = item.details.children;
    const text = this.#context.texts.counted("like", others.length);
    if (summary.textContent !== text) summary.textContent = text;
    reconcile(list, others.map((row) => this.#draw(row, [], archived)));
    return item.details;
  }

  /** Where the focus is: in which row, and at which of its controls. */
  #focused() {
    const all = this.#controls();
    const index = all.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    if (index < 0) return null;
    const row = all[index].closest("li");
    const rows = [...this.element.querySelectorAll("li")];
    return { index: rows.indexOf(/** @type {HTMLLIElement} */ (row)), label: mark(all[index]) };
  }

  /**
   * Move the focus to the row that is where its own was, if that is gone.
   * @param {{index: number, label: string | undefined}} focus
   */
  #refocus({ index, label }) {
    if (this.element.contains(document.activeElement)) return;
    const rows = [...this.element.querySelectorAll("li")];
    const row = rows[Math.min(index, rows.length - 1)];
    const controls = this.#controls(row);
    (controls.find((control) => mark(control) === label) ?? controls[0])?.focus({ preventScroll: true });
  }

  /** @returns {HTMLElement[]} */
  #controls(within = /** @type {Element | undefined} */ (this.element)) {
    return [...(within?.querySelectorAll(/** @type {"button"} */ ("a[href], button:not([hidden]), summary")) ?? [])];
  }
}

/** @param {HTMLElement} control */
function mark({ dataset }) {
  return dataset.mark && (["read", "unread"].includes(dataset.mark) ? "read" : dataset.mark);
}

/**
 * Give a node these children. A child that is in its place is not moved, so that it keeps the focus.
 * @param {Element} parent
 * @param {Element[]} children
 */
export function reconcile(parent, children) {
  const wanted = new Set(children);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  let next = parent.firstElementChild;
  for (const child of children) {
    if (child === next) next = next.nextElementSibling;
    else parent.insertBefore(child, next);
  }
}
