import { dress } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";

/** Strokes on a 24 × 24 grid. @type {Record<string, string>} */
const PATHS = {
  debug: "M8 8l-4 4 4 4M16 8l4 4-4 4M13.5 5.5l-3 13",
  info: "M12 11v5M12 7.75v.01M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0z",
  success: "M8 12.5l2.75 2.75L16 9.5M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0z",
  warning: "M12 9.5v4M12 16.75v.01M10.3 4.2L2.9 17a2 2 0 0 0 1.7 3h14.8a2 2 0 0 0 1.7-3L13.7 4.2a2 2 0 0 0-3.4 0z",
  error: "M12 7.5v5M12 16v.01M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0z",
  close: "M6.5 6.5l11 11M17.5 6.5l-11 11",
};

/**
 * A picture for the eye only; made node by node, because markup in a string
 * is what Trusted Types forbid.
 * @param {Document} document
 * @param {string} name
 */
export function icon(document, name) {
  const path = dress(document.createElementNS(SVG, "path"), { d: PATHS[name] ?? PATHS.info });
  return dress(document.createElementNS(SVG, "svg"), { class: "nf-icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, path);
}
