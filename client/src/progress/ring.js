import { dress } from "../platform/dom.js";
import { SVG } from "../platform/icons.js";
import { summarize } from "./summary.js";

/** @import { Notification } from "../protocol.js" */
/** @import { Labels } from "../tasks.js" */

/** What the names of rings and links are made of. */
let count = 0;

/**
 * A ring on a badge: how far those tasks are that run although their toasts were closed.
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
  const { id, lastChild: share } = dress(ring ?? build(link ?? badge), { "aria-label": text, "data-known": String(percent !== null) });
  // Of an unknown share a quarter is shown, which turns.
  dress(/** @type {Element} */ (share), { "stroke-dasharray": `${percent ?? 25} 100` });
  // The link keeps the name that the badge gives it, and has ours after it.
  if (!link) return;
  link.id ||= `${id}-link`;
  link.setAttribute("aria-labelledby", `${link.id} ${id}`);
}

/** @param {Element} parent */
function build(parent) {
  count += 1;
  const [track, share] = [0, 1].map(() => dress(document.createElementNS(SVG, "circle"), { cx: 12, cy: 12, r: 9, pathLength: 100 }));
  const ring = dress(document.createElementNS(SVG, "svg"), { id: `nf-ring-${count}`, class: "nf-ring", viewBox: "0 0 24 24", role: "img" }, track, share);
  parent.append(ring);
  return ring;
}
