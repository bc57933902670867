import { listen } from "../platform/emitter.js";

/**
 * Keeps the host where it can be seen, clicked and read out: above everything
 * else, and inside the topmost modal, because everything outside a modal is
 * inert. An element in full screen is a modal as well. If it is one that
 * displays no children, such as a video, no toast is displayed meanwhile.
 */
export class TopLayer {
  /** The open modals, in the order in which they opened. @type {Element[]} */
  #modals = [];
  #shown = false;
  #options;

  /**
   * @param {object} options
   * @param {HTMLElement} options.host
   * @param {HTMLElement} options._region  the popover inside the host
   * @param {(home: Element) => void} options.move
   */
  constructor(options) {
    this.#options = options;
  }

  /** @param {AbortSignal} signal */
  start(signal) {
    const opened = (/** @type {any} */ { target, newState }) => {
      if (!(target instanceof Element) || target === this.#options._region || !target.matches("dialog, [popover]")) return;
      this.#follow(newState === "open");
    };
    document.addEventListener("toggle", opened, { capture: true, signal });
    // Some browsers send no `toggle` for dialogs, and there is no event for aria-modal.
    const observer = new MutationObserver(() => this.#follow(false));
    observer.observe(document.documentElement, { subtree: true, attributes: true, attributeFilter: ["open", "aria-modal"] });
    listen(signal, "abort", () => observer.disconnect());
    // A modal that is inserted with aria-modal set changes no attribute, but it takes the focus.
    listen(document, "focusin", () => this.#follow(false), signal);
    listen(document, "fullscreenchange", () => this.#follow(true), signal);
    this.#follow(false);
  }

  /** @param {boolean} on  whether there is anything to show */
  show(on) {
    const region = this.#options._region;
    this.#shown = on;
    region.hidden = !on;
    // Old browsers have no popovers, and a region outside the document would throw.
    if (region.isConnected) region.togglePopover?.(on);
  }

  /** Find another home, because the one that the host lived in is gone. */
  _rehome() {
    this.#follow(true);
  }

  /** @param {boolean} raise  whether something else has entered the top layer */
  #follow(raise) {
    // In :where(), because a browser that does not know one of these would otherwise throw.
    const open = [...document.querySelectorAll(':where(dialog:modal, [aria-modal="true"]:not(dialog), :fullscreen)')].filter((modal) => modal.checkVisibility?.() ?? true);
    this.#modals = [...new Set([...this.#modals.filter((modal) => open.includes(modal)), ...open])];
    const home = this.#modals.at(-1) ?? document.documentElement;
    const moved = this.#options.host.parentElement !== home;
    if (moved) this.#options.move(home);
    if ((moved || raise) && this.#shown) this.#raise();
  }

  /** Show the popover again, because the last one shown lies on top. */
  #raise() {
    const { activeElement } = document;
    this.show(false);
    this.show(true);
    if (this.#options._region.contains(activeElement)) /** @type {HTMLElement} */ (activeElement).focus({ preventScroll: true });
  }
}
