import { shape } from "../platform/icons.js";

/** Strokes on a 24 × 24 grid. */
const PATHS = {
  debug: "M8 7l-5 5 5 5M16 7l5 5-5 5",
  info: "M12 11v5M12 8v.01M3 12a9 9 0 1 1 18 0 9 9 0 1 1-18 0",
  success: "M5 13l4 4 10-10",
  warning: "M12 10v4M12 17v.01M12 4L3 20h18z",
  error: "M12 8v5M12 16v.01M3 12a9 9 0 1 1 18 0 9 9 0 1 1-18 0",
  read: "M5 13l4 4 10-10",
  unread: "M8 12a4 4 0 1 1 8 0 4 4 0 1 1-8 0",
  archived: "M4 5h16v4H4zM6 9v10h12V9M10 13h4",
  unarchive: "M4 5h16v4H4zM6 9v10h12V9M12 17v-5M9.5 14l2.5-2.5 2.5 2.5",
  close: "M6 6l12 12M18 6L6 18",
};

/**
 * A picture that screen readers skip.
 * @param {string} name
 */
export function picture(name) {
  const known = Object.hasOwn(PATHS, name) ? /** @type {keyof PATHS} */ (name) : "info";
  return shape("svg", { class: "nf-icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, shape("path", { d: PATHS[known] }));
}
