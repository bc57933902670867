/**
 * The value of a JSON text; undefined if the text is not JSON.
 * @param {any} text  also null or undefined, which are not JSON
 * @returns {any}
 */
export function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
