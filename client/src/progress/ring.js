import { dress } from "../platform/dom.js";
import { shape } from "../platform/icons.js";
import { summarize } from "./summary.js";

/** @import { Notification } from "../protocol.js" */
/** @import { Labels } from "./labels.js" */

/**
 * Draw a ring on a badge: the progress of tasks that run although their toasts were closed.
 * @param {Element} badge
 * @param {Notification[]} tasks
 * @param {Labels} labels
 */
export function drawRing(badge, tasks, labels) {
  const link = badge.querySelector("a, button");
  const ring = badge.querySelector(".nf-ring");
  if (tasks.length === 0) {
    if (ring) link?.removeAttribute("aria-labelledby");
    return ring?.remove();
  }
  const { text, percent } = summarize(tasks, labels);
  const { id, lastChild: arc } = dress(ring ?? build(link ?? badge), { "aria-label": text, "data-known": String(percent !== null) });
  // If the share is unknown, a quarter of the ring is drawn, and turns.
  dress(/** @type {Element} */ (arc), { "stroke-dasharray": `${percent ?? 25} 100` });
  // The link is named by itself, as the badge has labelled it, and then by the ring.
  if (!link) return;
  link.id ||= `${id}-link`;
  link.setAttribute("aria-labelledby", `${link.id} ${id}`);
}

/**
 * The ring has a random id, because users of the site may be able to give their own elements any other.
 * @param {Element} parent
 */
function build(parent) {
  const [track, arc] = [0, 1].map(() => shape("circle", { cx: 12, cy: 12, r: 9, pathLength: 100 }));
  const ring = shape("svg", { id: `nf-ring-${Math.random()}`, class: "nf-ring", viewBox: "0 0 24 24", role: "img" }, track, arc);
  parent.append(ring);
  return ring;
}
