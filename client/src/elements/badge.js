import { element } from "../platform/dom.js";
import { listen } from "../platform/emitter.js";
import { fill, readLabels } from "../platform/labels.js";

const MOST = 99;

/**
 * The count as it is written, and as it is read out.
 * @param {number} count
 * @param {{notifications: string, new: string}} labels
 */
export function badgeText(count, labels) {
  const text = count > MOST ? `${MOST}+` : String(count);
  return { text, name: count > 0 ? `${labels.notifications}, ${fill(labels.new, { count })}` : labels.notifications };
}

/**
 * `<notify-badge>`: the unseen count. The server draws it; this keeps it right.
 * Its changes are not announced, because the toast was.
 */
export function defineBadge() {
  if (customElements.get("notify-badge")) return;
  customElements.define(
    "notify-badge",
    class NotifyBadge extends HTMLElement {
      /** @type {AbortController | null} */
      #listening = null;

      connectedCallback() {
        this.#listening = new AbortController();
        const { signal } = this.#listening;
        listen(document, "notify:counts", ({ detail }) => this.#draw(detail.unseen), signal);
        // A badge that a swap brought in later asks for what it has missed.
        const root = /** @type {any} */ (document.querySelector("notify-root"));
        const counts = root?.state === "open" ? root.counts : null;
        this.#draw(counts?.unseen ?? Number(this.getAttribute("count") ?? 0));
      }

      disconnectedCallback() {
        this.#listening?.abort();
      }

      /** @param {number} count */
      #draw(count) {
        const labels = readLabels(document.querySelector("notify-root")?.getAttribute("labels") ?? null);
        const { text, name } = badgeText(count, labels);
        let badge = /** @type {HTMLElement | null} */ (this.querySelector(".nf-badge"));
        if (!badge) {
          badge = element("span", "nf-badge");
          (this.querySelector("a, button") ?? this).append(badge);
        }
        this.setAttribute("count", String(count));
        badge.textContent = text;
        badge.hidden = count === 0;
        const named = this.querySelector("a, button") ?? badge;
        if (named === badge) badge.setAttribute("role", "img");
        named.setAttribute("aria-label", name);
      }
    },
  );
}
