import { dress } from "./dom.js";

/**
 * Create an element of a picture.
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 * @param {Element[]} content
 */
export function shape(tag, attributes, ...content) {
  return dress(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, ...content);
}

/** Strokes on a 24 × 24 grid. @type {Record<string, string>} */
const PATHS = /** @type {any} */ ({
  __proto__: null, // so that it has no other names
  debug: "M8 7l-5 5 5 5M16 7l5 5-5 5",
  info: "M12 11v5M12 8v.01M3 12a9 9 0 1 1 18 0 9 9 0 1 1-18 0",
  success: "M8 12l3 3 5-5M3 12a9 9 0 1 1 18 0 9 9 0 1 1-18 0",
  warning: "M12 10v4M12 17v.01M12 4L3 20h18z",
  error: "M12 8v5M12 16v.01M3 12a9 9 0 1 1 18 0 9 9 0 1 1-18 0",
  close: "M6 6l12 12M18 6L6 18",
});

/**
 * A picture that screen readers skip. It is built node by node, because Trusted
 * Types forbid markup in a string.
 * @param {string} name
 */
export function icon(name) {
  const path = shape("path", { d: PATHS[name] ?? PATHS.info });
  return shape("svg", { class: "nf-icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, path);
}
