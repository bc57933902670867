import { keep } from "./memory.js";

/** @import { Notification } from "../protocol.js" */

/** A task is announced at most once in so many ms, and only after it has passed another quarter. */
const PAUSE = 15_000;

/**
 * Decides when the progress of a running task is announced: seldom, and no
 * quarter that it had passed before this page saw it. Its start and its end are
 * announced with their toasts.
 */
export class Milestones {
  #quarter;
  #at;

  /**
   * @param {number} share  of the whole that is done, 0 to 1
   * @param {number} now  ms
   */
  constructor(share, now) {
    this.#quarter = Math.floor(share * 4);
    this.#at = now;
  }

  /**
   * The percentage to announce, or 0.
   * @param {number} share
   * @param {number} now  ms
   */
  reached(share, now) {
    const quarter = Math.floor(share * 4);
    if (quarter <= this.#quarter || quarter >= 4 || now - this.#at < PAUSE) return 0;
    this.#quarter = quarter;
    this.#at = now;
    return quarter * 25;
  }
}

/**
 * The percentage to announce for a task now, or 0.
 * @param {Notification} notification
 * @param {number} now  ms
 */
export function milestone(notification, now) {
  const { progress } = notification;
  if (progress?.state !== "running" || !progress.total) return 0;
  const share = progress.done / progress.total;
  return keep(notification, "milestones", () => new Milestones(share, now)).reached(share, now);
}
