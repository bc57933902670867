/** @import { Notification } from "../protocol.js" */

/** What is kept of running tasks, by task, attempt and kind. @type {Map<string, any>} */
const kept = new Map();

/**
 * What is kept of this task, made if need be; a retry is another one.
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
 * Let go of what is kept of all others: a page may stay open for weeks.
 * @param {(id: number) => boolean} isRunning
 */
export function release(isRunning) {
  for (const key of kept.keys()) if (!isRunning(parseInt(key))) kept.delete(key);
}
