/** @import { Notification } from "../protocol.js" */

/** Values remembered about running tasks, by task, attempt and kind. @type {Map<string, any>} */
const kept = new Map();

/**
 * Returns a value remembered about this task, made at the first call. A retry is remembered as another task.
 * @template T
 * @param {Notification} notification
 * @param {string} kind
 * @param {() => T} make
 * @returns {T}
 */
export function keep({ id, progress }, kind, make) {
  const key = `${id}:${progress?.attempt}:${kind}`;
  if (!kept.has(key)) kept.set(key, make());
  return kept.get(key);
}

/**
 * Forget all tasks that are not running, because a page may stay open for weeks.
 * @param {(id: number) => boolean} isRunning
 */
export function release(isRunning) {
  for (const key of kept.keys()) if (!isRunning(parseInt(key))) kept.delete(key);
}
