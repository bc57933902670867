import { parseJson } from "./json.js";

/**
 * The texts of the interface. The server sends translations in the `labels`
 * attribute; these stand in for what it leaves out.
 */
export const DEFAULTS = {
  notifications: "Notifications",
  new: "%(count)s new",
  more: "%(count)s more",
  fewer: "Show fewer",
  whole: "Show more",
  dismiss: "Dismiss",
  times: "%(count)s times",
  actions: "Press F6 for actions.",
};

/** @typedef {Record<keyof typeof DEFAULTS, string>} Labels */

/**
 * The labels in the `labels` attribute of a root, completed by defaults.
 * @template T
 * @param {Element | null} root
 * @param {T} defaults
 * @returns {T}
 */
export function readLabels(root, defaults) {
  return { ...defaults, ...parseJson(root?.getAttribute("labels")) };
}

/**
 * The labels of a root.
 * @param {Element | null} root
 * @returns {Labels}
 */
export function labelsOf(root) {
  // Without a prototype, so that it has no other names.
  return /** @type {any} */ ({ __proto__: null, ...readLabels(root, DEFAULTS) });
}

/**
 * Fill in `%(name)s`, the placeholders that translators know from Django.
 * @param {string} label
 * @param {Record<string, string | number>} values
 */
export function fill(label, values) {
  return label.replace(/%\((\w+)\)s/g, (all, name) => String(values[name] ?? all));
}

/**
 * Fill in the number of a label that has a form for each kind of numbers. The
 * server sends the form of each number in `forms`, and form 1 of `more` in `more1`.
 * @template {string} Name
 * @param {Record<Name, string>} labels
 * @param {Name} name
 * @param {number} count
 */
export function fillCount(labels, name, count) {
  const all = /** @type {Record<string, string>} */ (labels);
  return fill(all[name + all.forms?.[count < 200 ? count : 100 + (count % 100)]] ?? labels[name], { count });
}

/**
 * The name of a level, translated if the server sent a translation.
 * @param {Labels} labels
 * @param {string} level
 */
export function levelName(labels, level) {
  return labels[/** @type {keyof Labels} */ (level)] ?? level;
}
