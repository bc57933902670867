import { drawActions } from "../actions/buttons.js";
import { dress, element } from "../platform/dom.js";
import { safeHref } from "../platform/href.js";
import { levelName } from "../platform/labels.js";
import { statusText } from "../progress/bar.js";
import { runs } from "../protocol.js";
import { picture } from "./pictures.js";
import { timeTexts } from "./times.js";

/**
 * @import { Takings } from "../actions/taking.js"
 * @import { Mark, Notification } from "../protocol.js"
 * @import { Texts } from "./labels.js"
 *
 * @typedef {object} Context
 * @property {Texts} texts
 * @property {Takings} takings
 * @property {(mark: Mark, id: number) => void} mark
 */

/** The parts of a row that stay while its content changes, so that the focus stays where it is. */
export class RowView {
  #level = element("span", "nf-sr-text");
  #title = element("div", "nf-inbox-title", { role: "heading", "aria-level": 3 });
  #face = element("span", "nf-inbox-face", { "aria-hidden": "true" });
  #text = element("p", "nf-panel-text", { hidden: "" });
  #bar = element("p", "nf-inbox-progress", { hidden: "" });
  #progress = element("progress", "");
  #note = element("bdi", "");
  #time = element("time", "");
  #acts = element("p", "nf-inbox-actions", { hidden: "" });
  #runs = element("div", "nf-inbox-actions", { hidden: "" });
  #cancel = element("button", "nf-panel-cancel", { type: "button" });
  #read = element("button", "nf-panel-mark", { type: "button" });
  #archive = element("button", "nf-panel-mark", { type: "button" });
  #version = "";
  #context;
  element;

  /**
   * @param {number} id
   * @param {Context} context
   */
  constructor(id, context) {
    this.#context = context;
    const text = element("div", "nf-inbox-text", {}, this.#title, this.#text, this.#bar, element("p", "nf-inbox-facts", {}, this.#time), this.#acts, this.#runs);
    const marks = element("div", "nf-inbox-marks", {}, this.#read, this.#archive);
    this.#bar.append(this.#progress, this.#note, this.#cancel);
    this.element = element("article", "nf-inbox-row", { "data-id": id }, this.#face, text, marks);
    for (const button of [this.#cancel, this.#read, this.#archive]) {
      button.addEventListener("click", () => context.mark(/** @type {Mark} */ (button.dataset.mark), id));
    }
  }

  /**
   * @param {Notification} row
   */
  fill(row) {
    const { texts, takings } = this.#context;
    const { arrived, level, read_at, title, message } = row;
    const version = `${arrived} ${level}`;
    if (this.#version !== version) this.#fillContent(row);
    this.#version = version;
    this.element.toggleAttribute("data-unread", !read_at);
    this.#level.textContent = `${read_at ? "" : `${texts.own.is_unread}, `}${levelName(texts.root, level)}: `;
    this.#fillBar(row);
    this.#fillMarks(row, title || message);
    drawActions(this.#runs, row, takings, texts.actions);
    this.tell(row);
  }

  /**
   * Bring the time up to date.
   * @param {Notification} row
   */
  tell({ updated_at }) {
    const { ago, exact } = timeTexts(updated_at, document.documentElement.lang);
    if (this.#time.textContent !== ago) dress(this.#time, { datetime: updated_at, title: exact }).textContent = ago;
  }

  /** @param {Notification} row */
  #fillContent({ title, message, level, url, count, image, actions }) {
    this.element.dataset.level = level;
    const href = safeHref(url);
    const name = element("bdi", "", {}, title || message);
    this.#title.replaceChildren(this.#level, href ? element("a", "nf-panel-link", { href }, name) : name);
    if (count > 1) this.#title.append(" ", element("span", "nf-inbox-times", {}, `×${count}`));
    this.#text.replaceChildren(element("bdi", "", {}, title && message));
    this.#text.hidden = !title;
    this.#face.replaceChildren(face(level, image), element("span", "nf-inbox-dot"));
    const links = actions.flatMap(({ label, url }) => {
      const href = safeHref(url);
      return href ? [element("a", "nf-panel-link", { href, dir: "auto" }, label)] : [];
    });
    this.#acts.replaceChildren(...links);
    this.#acts.hidden = links.length === 0;
  }

  /** @param {Notification} row */
  #fillBar(row) {
    const { progress, title, message } = row;
    this.#bar.hidden = !progress || !runs(row);
    if (!progress || !runs(row)) return;
    const [bar, note] = [this.#progress, this.#note];
    const text = statusText(progress, this.#context.texts.tasks);
    dress(bar, { "aria-label": title || message, "aria-valuetext": text });
    if (typeof progress.total !== "number" || progress.state === "queued") bar.removeAttribute("value");
    else Object.assign(bar, { max: progress.total || 1, value: progress.done });
    if (note.textContent !== text) note.textContent = text;
  }

  /**
   * @param {Notification} row
   * @param {string} name
   */
  #fillMarks(row, name) {
    const { own, tasks } = this.#context.texts;
    const { progress, archived_at, read_at, expires_at } = row;
    const isArchived = archived_at !== null;
    label(this.#cancel, "cancel", tasks.cancel, name, tasks.cancel);
    this.#cancel.hidden = !progress?.cancellable || !runs(row) || progress.state === "cancelling";
    this.#read.hidden = isArchived;
    if (read_at) label(this.#read, "unread", own.mark_unread, name);
    else label(this.#read, "read", own.mark_read, name);
    if (isArchived) label(this.#archive, "unarchive", own.unarchive, name);
    else label(this.#archive, "archived", own.archive, name);
    // An expired notification would be archived again.
    this.#archive.hidden = isArchived && expires_at !== null && Date.parse(expires_at) <= Date.now();
  }
}

/**
 * @param {HTMLButtonElement} button
 * @param {Mark} mark
 * @param {string} text
 * @param {string} name  of the notification
 * @param {string} [content]  the text that the button shows in place of a picture
 */
function label(button, mark, text, name, content) {
  const full = `${text}: ${name}`;
  if (button.getAttribute("aria-label") === full) return;
  dress(button, { "data-mark": mark, "aria-label": full, title: text }).replaceChildren(content ?? picture(mark));
}

/**
 * The picture of a row: its own, or that of its level.
 * @param {string} level
 * @param {string | undefined} image
 */
function face(level, image) {
  const src = image && safeHref(image);
  if (!src) return picture(level);
  const img = element("img", "", { alt: "", width: 40, height: 40, loading: "lazy", referrerpolicy: "no-referrer", src });
  img.addEventListener("error", () => img.replaceWith(picture(level)));
  return img;
}
