/**
 * The progress of tasks between two changes of their rows. A tick is valid until
 * the row changes, and as long as the row is behind it: a mark brings the row as
 * it was last written, with which the bar would fall back.
 *
 * @import { Notification, Tick } from "../protocol.js"
 */

/** The newest tick of each task, with the progress that its row had when the tick came. @type {Map<number, Tick & {row: unknown}>} */
const newest = new Map();

/**
 * @param {Tick[]} ticks
 * @param {(id: number) => Notification | null | undefined} get
 */
export function take(ticks, get) {
  for (const tick of ticks) {
    const row = get(tick.id)?.progress;
    // A tick that is behind its row was overtaken by it on the way.
    if (row?.state === "running" && row.attempt === tick.attempt && tick.done >= row.done) newest.set(tick.id, { ...tick, row });
  }
}

/**
 * The notification with the progress of its newest tick.
 * @template {Notification | null | undefined} T
 * @param {T} notification
 * @returns {T}
 */
export function advance(notification) {
  const tick = notification && newest.get(notification.id);
  if (!tick) return notification;
  const row = notification.progress;
  const { done, total, message } = tick;
  // The row has reached the tick, or counts anew.
  if (row !== tick.row && (row?.attempt !== tick.attempt || row.total !== total || row.done >= done)) {
    newest.delete(notification.id);
    return notification;
  }
  return { ...notification, progress: { ...row, done, total, message } };
}
