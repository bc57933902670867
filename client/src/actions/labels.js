import { readLabels } from "../platform/labels.js";

/** The texts of actions. The server sends translations in the `labels` attribute. */
const DEFAULTS = {
  cancel: "Cancel",
  refused: "That did not work. Try again.",
};

/** @typedef {typeof DEFAULTS} Labels */

/**
 * @param {Element} root
 * @returns {Labels}
 */
export function labelsOf(root) {
  return readLabels(root, DEFAULTS);
}
