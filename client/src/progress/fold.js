import { element } from "../platform/dom.js";
import { fill } from "../platform/labels.js";
import { summarize } from "./summary.js";

/** @import { Notification } from "../protocol.js" */
/** @import { Labels } from "../tasks.js" */

/**
 * The button "N more", where running tasks are behind it: what they are doing together.
 * @param {HTMLElement} more
 * @param {Notification[]} tasks
 * @param {number} count  of what else is behind it
 * @param {Labels} labels
 */
export function drawFold(more, tasks, count, labels) {
  if (tasks.length === 0) return;
  const { text, percent } = summarize(tasks, labels);
  const words = count ? `${text} · ${fill(labels.more, { count })}` : text;
  // Drawn already; to draw it again would be a change to draw after.
  if (more.textContent === words) return;
  const bar = percent === null ? [] : [element("progress", "nf-bar", { max: 100, value: percent, "aria-hidden": "true" })];
  // In the direction of its own words, as all texts of toasts are.
  more.replaceChildren(...bar, element("bdi", "", {}, words));
}

/**
 * Whether tasks have begun among these.
 * @param {Notification[]} tasks
 * @param {number} before  how many they were when it was asked last
 */
export function hasGrown(tasks, before) {
  // What has moved began elsewhere, or before this page.
  return tasks.length > before && tasks.some(({ position, arrived }) => position === arrived);
}
