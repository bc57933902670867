import { fillCount } from "../platform/labels.js";
import { StoredValue } from "../platform/stored-value.js";
import { labelsOf } from "./labels.js";
import { own, ownId } from "./own.js";

/** @import { NotifyRoot } from "../elements/root.js" */

/**
 * A level of its own: its toast stays until it is closed, and is called "Notifications", as the region is.
 */
const LEVEL = "notifications";

/**
 * The toast that stands for many notifications: "12 new notifications". It counts
 * the unseen ones, closes when all have been seen, and survives a navigation.
 */
export class Summary {
  #id = ownId();
  /** @type {Set<number>} */
  #ids;
  /** How many it says there are. */
  #said = 0;
  #due = false;
  #root;
  #stored;

  /** @param {NotifyRoot} root */
  constructor(root) {
    this.#root = root;
    this.#stored = new StoredValue("sessionStorage", `notify:${root.getAttribute("src")}news`);
    const kept = this.#stored.read();
    this.#ids = new Set(kept?.user === this.#user ? kept.ids : []);
    if (!this._isOpen) this.#stored.write(null);
    // The page before has announced it.
    this.#said = this.#ids.size;
    if (this.#said > 0) this.#show(true);
  }

  get _isOpen() {
    return this.#ids.size > 0;
  }

  get #user() {
    return this.#root.getAttribute("user");
  }

  /** @param {number[]} ids */
  _add(ids) {
    for (const id of ids) this.#ids.add(id);
    this.#drawSoon();
  }

  /**
   * Take the notifications off that meet the condition.
   * @param {(id: number) => boolean} isGone
   */
  _drop(isGone) {
    for (const id of this.#ids) if (isGone(id) && this.#ids.delete(id)) this.#drawSoon();
  }

  /**
   * Note which toasts are open: if the user has closed this one, it starts over.
   * @param {(id: number) => boolean} isOpen
   */
  _look(isOpen) {
    if (this.#said > 0 && !isOpen(this.#id)) {
      this.#ids.clear();
      this.#drawSoon();
    }
  }

  /**
   * Returns whether an element is in its toast.
   * @param {Element} target
   */
  _has(target) {
    return target.closest(".nf-toast")?.getAttribute("data-id") === String(this.#id);
  }

  #drawSoon() {
    if (this.#due) return;
    this.#due = true;
    // In a microtask, so that all notifications of one document are counted at once.
    queueMicrotask(() => {
      this.#due = false;
      const { size } = this.#ids;
      const before = this.#said;
      this.#said = size;
      this.#stored.write(size > 0 ? { user: this.#user, ids: [...this.#ids] } : null);
      if (size === 0) this.#root.hide(this.#id);
      else if (size !== before) this.#show(before > 0);
    });
  }

  /** @param {boolean} quiet */
  #show(quiet) {
    const text = fillCount(labelsOf(this.#root), "news", this.#said);
    this.#root.show(own(this.#root, this.#id, text, { level: LEVEL, url: this.#root.getAttribute("inbox") ?? "" }), quiet);
  }
}
