import { fill } from "../platform/labels.js";

/** @import { Notification } from "../protocol.js" */
/** @import { Labels } from "../tasks.js" */

/**
 * What is said of several running tasks together.
 * @param {Notification[]} tasks
 * @param {Labels} labels
 * @returns {{text: string, percent: number | null}}  percent: the mean of what is known, null where nothing is
 */
export function summarize(tasks, labels) {
  const shares = tasks.flatMap(({ progress }) => (progress?.total ? [(100 * Math.min(progress.done, progress.total)) / progress.total] : []));
  const percent = shares.length ? Math.floor(shares.reduce((sum, share) => sum + share) / shares.length) : null;
  const count = tasks.length === 1 ? labels.task : fill(labels.tasks, { count: tasks.length });
  return { text: percent === null ? count : `${count}, ${percent} %`, percent };
}
