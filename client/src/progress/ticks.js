/**
 * How far tasks are between two changes of their rows. A tick stands until the
 * row says something else.
 *
 * @import { Notification } from "../protocol.js"
 *
 * @typedef {{id: number, attempt: number, done: number, total: number | null, message: string}} Tick
 */

/** With what the row said when it came. @type {Map<number, Tick & {row: unknown}>} */
const newest = new Map();

/**
 * @param {Tick[]} ticks
 * @param {(id: number) => Notification | null | undefined} get
 */
export function take(ticks, get) {
  for (const tick of ticks) {
    const row = get(tick.id)?.progress;
    // One that is behind its row was overtaken by it.
    if (row?.state === "running" && row.attempt === tick.attempt && tick.done >= row.done) newest.set(tick.id, { ...tick, row });
  }
}

/**
 * The notification as the newest tick has it.
 * @template {Notification | null | undefined} T
 * @param {T} notification
 * @returns {T}
 */
export function advance(notification) {
  const tick = notification && newest.get(notification.id);
  if (!tick) return notification;
  if (tick.row !== notification.progress) {
    newest.delete(notification.id);
    return notification;
  }
  const { done, total, message } = tick;
  return { ...notification, progress: { ...notification.progress, done, total, message } };
}
