import { listen } from "../platform/emitter.js";
import { StoredValue } from "../platform/stored-value.js";

/** The header of a request by a script, and the cookie of a form or a link. The server reads both: notify/sending/echo.py. */
const HEADER = "X-Notify-Tab";
const COOKIE = "notify_tab";
/** The request is sent at once, so the cookie need not live longer than the page takes to leave. */
const SECONDS = 10;

/**
 * With `NOTIFY_ECHO = "quiet"`, which the root shows as its attribute `echo`,
 * what a request of this tab sends is a toast in this tab alone. The tab is
 * named by an identifier that outlives the page, in the attribute
 * `data-notify-tab` of <html>.
 */
export class Echo {
  #tab = "";

  /** @param {AbortSignal} [signal] */
  start(signal) {
    this.#name();
    listen(document, "notify:state", () => this.#name(), signal); // a root may come later
    if (document.cookie.includes(`${COOKIE}=`)) this.#setCookie("", 0); // the request for this page had it

    listen(document, "notify:notification", (event) => {
      const { origin } = event.detail.notification;
      if (origin && origin !== this.#tab) event.preventDefault();
    }, signal);
    listen(document, "htmx:configRequest", ({ detail }) => {
      if (this.#isQuiet && isOurs(detail.path)) detail.headers[HEADER] = this.#tab;
    }, signal);
    // On the window, after the listeners of the page, which may take over.
    listen(window, "submit click", (event) => this.#leave(event), signal);
  }

  get #isAsked() {
    return document.querySelector('notify-root[echo="quiet"]') !== null;
  }

  get #isQuiet() {
    return this.#tab !== "" && this.#isAsked;
  }

  /** Give the tab its name, unless it has one. Where the site does not ask for it, nothing is stored. */
  #name() {
    if (this.#tab || !this.#isAsked) return;
    const stored = new StoredValue("sessionStorage", "notify:tab");
    const name = stored.read() ?? newTab();
    stored.write(name);
    // Where nothing can be stored, the next page of this tab has another name, so it must not be sent.
    if (stored.read() !== name) return;
    this.#tab = document.documentElement.dataset.notifyTab = name;
  }

  /** @param {MouseEvent} event  or that of a form, which has no keys */
  #leave({ type, target, defaultPrevented, ctrlKey, metaKey, shiftKey }) {
    if (defaultPrevented || ctrlKey || metaKey || shiftKey || !this.#isQuiet) return;
    const leaving = /** @type {Element} */ (target).closest(type === "submit" ? "form" : "a[href]");
    // One that opens in another tab is the request of that tab.
    if (!leaving || !["", "_self"].includes(leaving.getAttribute("target") ?? "")) return;
    if (isOurs(leaving.getAttribute(type === "submit" ? "action" : "href") ?? "")) this.#setCookie(this.#tab, SECONDS);
  }

  /**
   * @param {string} value
   * @param {number} seconds
   */
  #setCookie(value, seconds) {
    const secure = location.protocol === "https:" ? "; secure" : "";
    document.cookie = `${COOKIE}=${value}; path=/; max-age=${seconds}; samesite=lax${secure}`;
  }
}

/** `crypto.randomUUID` would need TLS. */
function newTab() {
  return Array.from(crypto.getRandomValues(new Uint8Array(10)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Returns whether an address is of this site. Another would refuse the header.
 * @param {string} address
 */
function isOurs(address) {
  try {
    return new URL(address, location.href).origin === location.origin;
  } catch {
    return false;
  }
}
