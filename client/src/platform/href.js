const SAFE = new Set(["http:", "https:", "mailto:"]);

/**
 * The absolute address if a link may lead to it, else null. The server checks
 * addresses as well, but a row may be older than that check.
 * @param {string | undefined} url
 */
export function safeHref(url) {
  if (!url) return null;
  try {
    const { protocol, href } = new URL(url, document.baseURI);
    return SAFE.has(protocol) ? href : null;
  } catch {
    return null;
  }
}
