import { element } from "./dom.js";
import { Milestones } from "./milestones.js";

/** @import { Notification } from "./protocol.js" */
/** @import { Root } from "./tasks.js" */

/** A screen reader has taken a line by then. */
const LINE_LIFE = 7_000;

/** When to speak of each task; a retry is another one. @type {Map<string, Milestones>} */
const known = new Map();

/**
 * Say to screen readers how far a task is, from time to time.
 * @param {Root} root
 * @param {Notification} notification
 */
export function speak(root, { id, title, message, progress }) {
  if (progress?.state !== "running" || !progress.total) return;
  const { attempt, done, total } = progress;
  const now = Date.now();
  const key = `${id}:${attempt}`;
  const milestones = known.get(key) ?? new Milestones(done / total, now);
  known.set(key, milestones);
  const percent = milestones.reached(done / total, now);
  if (percent) say(root, `${title || message}: ${percent} %`);
}

/**
 * Say it in the tab that is used.
 * @param {Root} root
 * @param {string} text
 */
export function say(root, text) {
  if (!document.hasFocus()) return;
  const line = element("div", "nf-line", {}, text);
  root.querySelector("[aria-live=polite]")?.append(line);
  setTimeout(() => line.remove(), LINE_LIFE);
}
