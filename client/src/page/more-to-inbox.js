import { listen } from "../platform/emitter.js";

/** @import { NotifyRoot } from "../elements/root.js" */
/** @import { Decoration, Fold } from "../toasts/more.js" */

/**
 * Opens the inbox with the button "N more", where the page has a bell. Without
 * one the button expands the stack, and so it does if a toast behind it is in
 * no inbox.
 * @implements {Decoration}
 */
class MoreToInbox {
  #isInInbox = false;

  /** @param {NotifyRoot} root */
  constructor(root) {
    root.decorate(this);
    // Before the button itself receives the click.
    root.addEventListener("click", (event) => this.#click(event), true);
  }

  toast() {}

  /** @param {Fold} fold */
  fold({ state, behind }) {
    this.#isInInbox = state === "folded" && behind.every(({ id }) => id > 0);
    return undefined;
  }

  /** @param {Event} event */
  #click(event) {
    const invoker = /** @type {Element} */ (event.target).closest(".nf-more");
    if (!invoker || !this.#isInInbox) return;
    const opening = new CustomEvent("notify:open-inbox", { cancelable: true, detail: { invoker } });
    // A bell that opens the panel cancels the event.
    if (!document.dispatchEvent(opening)) event.stopPropagation();
  }
}

/** @type {WeakSet<NotifyRoot>} */
const known = new WeakSet();

export function leadMoreToInbox() {
  listen(document, "notify:state", ({ target }) => {
    if (!known.has(target)) new MoreToInbox(target);
    known.add(target);
  });
}
