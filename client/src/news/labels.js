import { readLabels } from "../platform/labels.js";

/** The texts of this script. The server sends translations in the `labels` attribute. */
export const DEFAULTS = {
  news: "%(count)s new notifications",
  times: "%(count)s times",
  close_all: "Close all",
};

/** @typedef {typeof DEFAULTS} Labels */

/**
 * @param {Element | null} root
 * @returns {Labels}
 */
export function labelsOf(root) {
  return readLabels(root, DEFAULTS);
}
