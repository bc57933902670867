/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [["year", 31_536_000], ["month", 2_592_000], ["week", 604_800], ["day", 86_400], ["hour", 3_600], ["minute", 60]];

/**
 * How long ago something was, as "3 minutes ago", and the moment itself.
 * @param {string} moment  ISO 8601
 * @param {string} language  of the page; an invalid one falls back to the browser's
 */
export function timeTexts(moment, language, now = Date.now()) {
  const date = new Date(moment);
  // The clock of this computer may be behind that of the server.
  const seconds = Math.max(0, (now - date.getTime()) / 1_000);
  const [unit, length] = UNITS.find(([, length]) => seconds >= length) ?? ["second", Infinity];
  const ago = new Intl.RelativeTimeFormat(known(language), { numeric: length === Infinity ? "auto" : "always" });
  const exact = new Intl.DateTimeFormat(known(language), { dateStyle: "medium", timeStyle: "short" });
  return { ago: ago.format(-Math.floor(seconds / length), unit), exact: exact.format(date) };
}

/** @param {string} language */
function known(language) {
  try {
    return Intl.getCanonicalLocales(language)[0];
  } catch {
    return undefined;
  }
}
