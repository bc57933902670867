import { element } from "../platform/dom.js";
import { keep } from "./memory.js";
import { Milestones } from "./milestones.js";

/** @import { Notification } from "../protocol.js" */
/** @import { Root } from "../tasks.js" */

/** A screen reader has taken a line by then. */
const LINE_LIFE = 7_000;

/**
 * Say to screen readers how far a task is, from time to time.
 * @param {Root} root
 * @param {Notification} notification
 */
export function speak(root, notification) {
  const { title, message, progress } = notification;
  if (progress?.state !== "running" || !progress.total) return;
  const { done, total } = progress;
  const now = Date.now();
  const milestones = keep(notification, "milestones", () => new Milestones(done / total, now));
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
