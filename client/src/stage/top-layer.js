import { listen } from "../platform/emitter.js";

/**
 * Keeps the host where it can be seen, clicked and heard: above everything
 * else, and inside the topmost modal, because all outside of it is inert.
 */
export class TopLayer {
  /** Open modals, in the order in which they opened. @type {Element[]} */
  #modals = [];
  #shown = false;

  /**
   * @param {object} options
   * @param {HTMLElement} options.host
   * @param {HTMLElement} options.region  the popover inside it
   * @param {(home: Element) => void} options.move
   */
  constructor({ host, region, move }) {
    this.host = host;
    this.region = region;
    this.move = move;
  }

  /** @param {AbortSignal} signal */
  start(signal) {
    const opened = (/** @type {Event} */ event) => {
      const { target } = event;
      if (!(target instanceof Element) || target === this.region || !target.matches("dialog, [popover]")) return;
      this.#follow(/** @type {any} */ (event).newState === "open");
    };
    document.addEventListener("toggle", opened, { capture: true, signal });
    // Not every browser sends `toggle` for dialogs, and none for aria-modal.
    const observer = new MutationObserver(() => this.#follow(false));
    observer.observe(document.documentElement, { subtree: true, attributes: true, attributeFilter: ["open", "aria-modal"] });
    listen(signal, "abort", () => observer.disconnect());
    // A modal that was inserted whole tells nobody, but takes the focus.
    listen(document, "focusin", () => this.#follow(false), signal);
    this.#follow(false);
  }

  /** @param {boolean} on  whether there is anything to show */
  show(on) {
    this.#shown = on;
    this.region.hidden = !on;
    // Old browsers have no popovers, and what is not in a document is none.
    if (this.region.isConnected) this.region.togglePopover?.(on);
  }

  /** The home that the host lived in is gone. */
  rehome() {
    this.#follow(true);
  }

  /** @param {boolean} raise  something else has entered the top layer */
  #follow(raise) {
    const open = [...document.querySelectorAll('dialog:modal, [aria-modal="true"]:not(dialog)')].filter((modal) => modal.checkVisibility?.() ?? true);
    const known = this.#modals.filter((modal) => open.includes(modal));
    this.#modals = known.concat(open.filter((modal) => !known.includes(modal)));
    const home = this.#modals.at(-1) ?? document.documentElement;
    const moved = this.host.parentElement !== home;
    if (moved) this.move(home);
    if ((moved || raise) && this.#shown) this.#raise();
  }

  /** The last one shown lies on top. */
  #raise() {
    const { activeElement } = document;
    this.show(false);
    this.show(true);
    if (this.region.contains(activeElement)) /** @type {HTMLElement} */ (activeElement).focus({ preventScroll: true });
  }
}
