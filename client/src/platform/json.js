/**
 * The value of a JSON text, or undefined if it is none.
 * @param {any} text  null and undefined are none
 * @returns {any}
 */
export function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
