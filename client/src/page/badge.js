import { define, element } from "../platform/dom.js";
import { listen } from "../platform/emitter.js";
import { fillCount, labelsOf } from "../platform/labels.js";

const MOST = 99;

/**
 * The count as it is shown, and the name under which it is read out.
 * @param {number} count
 * @param {{notifications: string, new: string}} labels
 */
export function badgeText(count, labels) {
  const text = count > MOST ? `${MOST}+` : String(count);
  return { text, name: count > 0 ? `${labels.notifications}, ${fillCount(labels, "new", count)}` : labels.notifications };
}

/**
 * `<notify-badge>`: the unseen count. The server renders it, and this keeps it
 * up to date. Its changes are not announced, because the toast was.
 */
class NotifyBadge extends HTMLElement {
  #listening = new AbortController();

  connectedCallback() {
    this.#listening = new AbortController();
    listen(document, "notify:counts", ({ detail }) => this.#draw(detail.unseen), this.#listening.signal);
    // A badge that a swap inserted later has missed that event.
    const root = /** @type {any} */ (document.querySelector("notify-root"));
    const counts = root?.state === "open" ? root.counts : null;
    this.#draw(counts?.unseen ?? Number(this.getAttribute("count")));
  }

  disconnectedCallback() {
    this.#listening.abort();
  }

  /** @param {number} count */
  #draw(count) {
    const { text, name } = badgeText(count, labelsOf(document.querySelector("notify-root")));
    const link = this.querySelector("a, button");
    let badge = /** @type {HTMLElement | null} */ (this.querySelector(".nf-badge"));
    if (!badge) {
      badge = element("span", "nf-badge");
      (link ?? this).append(badge);
    }
    this.setAttribute("count", String(count));
    badge.textContent = text;
    badge.hidden = count === 0;
    if (!link) badge.setAttribute("role", "img");
    (link ?? badge).setAttribute("aria-label", name);
  }
}

export function defineBadge() {
  define("notify-badge", NotifyBadge);
}
