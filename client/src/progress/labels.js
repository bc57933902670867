import { readLabels } from "../platform/labels.js";

/** The texts of this script. The server sends translations in the `labels` attribute. */
const DEFAULTS = {
  progress: "%(done)s of %(total)s",
  left: "about %(time)s left",
  queued: "Waiting to start",
  silent: "No response for a while",
  lost: "Contact with this task was lost",
  cancel: "Cancel",
  cancelling: "Cancelling…",
  task: "1 task running",
  tasks: "%(count)s tasks running",
  more: "%(count)s more",
};

/** @typedef {typeof DEFAULTS} Labels */

/**
 * @param {Element} root
 * @returns {Labels}
 */
export function labelsOf(root) {
  return readLabels(root, DEFAULTS);
}
