const SAFE = new Set(["http:", "https:", "mailto:"]);

/**
 * The address if a link may carry it, else null. The server checks as well;
 * a row may be older than its check.
 * @param {string} url
 * @param {string} base
 */
export function safeHref(url, base) {
  if (!url) return null;
  try {
    const { protocol, href } = new URL(url, base);
    return SAFE.has(protocol) ? href : null;
  } catch {
    return null;
  }
}
