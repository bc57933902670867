import { element } from "../platform/dom.js";
import { fillCount } from "../platform/labels.js";

/** @import { Notification } from "../protocol.js" */
/** @import { Labels } from "./labels.js" */

/**
 * The common progress of several running tasks.
 * @param {Notification[]} tasks
 * @param {Labels} labels
 * @returns {{text: string, percent: number | null}}  percent: the mean of those that know their total, or null
 */
export function summarize(tasks, labels) {
  const shares = tasks.flatMap(({ progress }) => (progress?.total ? [(100 * Math.min(progress.done, progress.total)) / progress.total] : []));
  const percent = shares.length ? Math.floor(shares.reduce((sum, share) => sum + share) / shares.length) : null;
  const count = tasks.length === 1 ? labels.task : fillCount(labels, "tasks", tasks.length);
  return { text: percent === null ? count : `${count}, ${percent}\u00a0%`, percent };
}

/**
 * The content of the button "N more", if running tasks are behind it.
 * @param {Notification[]} tasks
 * @param {number} others  how many toasts are behind it beside them
 * @param {Labels} labels
 */
export function foldContent(tasks, others, labels) {
  if (tasks.length === 0) return;
  const { text, percent } = summarize(tasks, labels);
  const bar = percent === null ? [] : [element("progress", "nf-bar", { max: 100, value: percent, "aria-hidden": "true" })];
  // In a <bdi>, so that the text has its own direction, as all texts of toasts have.
  return [...bar, element("bdi", "", {}, others ? `${text}\u00a0· ${fillCount(labels, "more", others)}` : text)];
}

/**
 * Returns true if tasks have begun since the last drawing.
 * @param {Notification[]} tasks
 * @param {number} before  how many there were at the last drawing
 */
export function hasGrown(tasks, before) {
  // A task that has changed since it arrived began elsewhere, or before this page.
  return tasks.length > before && tasks.some(({ position, arrived }) => position === arrived);
}
