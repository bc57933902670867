import { define } from "../platform/dom.js";

/**
 * `<notify-messages>`: shows the messages in its list as toasts, whenever it is
 * inserted, also by a swap. Without a root the list stays, and so does a
 * message whose markup a toast could not show.
 */
class NotifyMessages extends HTMLElement {
  async connectedCallback() {
    await customElements.whenDefined("notify-root");
    // A cached page that is shown again has shown them before.
    if (!this.isConnected || !document.querySelector("notify-root:defined")) return;
    const items = [...this.querySelectorAll("li[data-level]")].filter((item) => item.childElementCount === 0);
    const toasts = items.map((item) => ({ message: item.textContent.trim(), level: item.getAttribute("data-level") }));
    for (const item of items) {
      item.removeAttribute("data-level");
      if (!item.hasAttribute("data-inline")) item.remove();
    }
    if (this.querySelector("li") === null) this.remove();
    if (toasts.length) document.dispatchEvent(new CustomEvent("notify:toast", { detail: toasts }));
  }
}

export function defineMessages() {
  define("notify-messages", NotifyMessages);
}
