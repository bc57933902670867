import { define, dress } from "../platform/dom.js";
import { listen } from "../platform/emitter.js";

/** @typedef {typeof import("../inbox.js")} Inbox */

/** The script of the panel, by its address. @type {Map<string, Promise<Inbox>>} */
const scripts = new Map();

/**
 * `<notify-bell script="…" styles="…" labels="…">`: turns the link in it into a
 * button that opens the inbox in a panel. The script for that is loaded when
 * the user is about to need it. If it cannot be, the link leads to the page.
 */
class NotifyBell extends HTMLElement {
  #listening = new AbortController();
  #wasOpen = false;

  connectedCallback() {
    const [link, { signal }] = [this.#link, (this.#listening = new AbortController())];
    if (!link || !this.getAttribute("script") || !this.getAttribute("labels")) return;
    // It stays a link, so that a middle click opens the page in a new tab.
    dress(link, { role: "button", "aria-haspopup": "dialog", "aria-expanded": "false" });
    listen(link, "pointerenter pointerdown focus", () => this.#load().catch(() => {}), signal);
    // A press outside a popover closes it, also one on the bell, and the click follows after that.
    listen(link, "pointerdown", () => (this.#wasOpen = link.getAttribute("aria-expanded") === "true"), signal);
    listen(link, "click", (event) => this.#click(event), signal);
    listen(link, "keydown", (event) => {
      if (event.key !== " ") return;
      event.preventDefault();
      link.click();
    }, signal);
    listen(document, "notify:open-inbox", (event) => {
      // A bell that is not displayed has nothing to which the panel could belong.
      if (event.defaultPrevented || this.getClientRects().length === 0) return;
      event.preventDefault();
      this.#open(event.detail?.invoker ?? link);
    }, signal);
  }

  disconnectedCallback() {
    this.#listening.abort();
  }

  get #link() {
    return this.querySelector("a");
  }

  get #script() {
    return new URL(this.getAttribute("script") ?? "", location.href).href;
  }

  /** @param {MouseEvent} event */
  #click(event) {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.defaultPrevented) return;
    event.preventDefault();
    const wasOpen = this.#wasOpen;
    this.#wasOpen = false;
    if (!wasOpen) this.#open(/** @type {HTMLElement} */ (this.#link), true);
  }

  /**
   * @param {HTMLElement} invoker  gets the focus back
   * @param {boolean} [toggles]  whether it closes a panel that is open
   */
  async #open(invoker, toggles) {
    try {
      const inbox = await this.#load();
      if (toggles && inbox.isOpen()) inbox.close();
      else if (!inbox.open(this, invoker)) throw new Error("notify: closed");
    } catch {
      location.assign(/** @type {HTMLAnchorElement} */ (this.#link).href);
    }
  }

  /** @returns {Promise<Inbox>} */
  async #load() {
    const address = this.#script;
    const script = scripts.get(address) ?? import(address);
    scripts.set(address, script);
    try {
      const inbox = await script;
      await inbox.prepare(this);
      return inbox;
    } catch (error) {
      // The next try asks again.
      scripts.delete(address);
      throw error;
    }
  }
}

export function defineBell() {
  define("notify-bell", NotifyBell);
}
