/**
 * The words of the chrome. The server sends translations in the `labels`
 * attribute; these stand in for what it leaves out.
 */
export const DEFAULTS = {
  notifications: "Notifications",
  new: "%(count)s new",
  more: "%(count)s more",
  dismiss: "Dismiss",
  times: "%(count)s times",
  actions: "Press F6 for its actions.",
};

/** @typedef {Record<keyof typeof DEFAULTS, string>} Labels */

/**
 * @param {string | null} json
 * @returns {Labels}
 */
export function readLabels(json) {
  try {
    return { ...DEFAULTS, ...JSON.parse(json ?? "{}") };
  } catch {
    return { ...DEFAULTS };
  }
}

/**
 * Fill `%(name)s`, as translators know it from Django.
 * @param {string} label
 * @param {Record<string, string | number>} values
 */
export function fill(label, values) {
  return label.replace(/%\((\w+)\)s/g, (all, name) => String(values[name] ?? all));
}

/**
 * @param {Labels} labels
 * @param {string} level
 */
export function levelWord(labels, level) {
  return Object.hasOwn(labels, level) ? labels[/** @type {keyof Labels} */ (level)] : level;
}
