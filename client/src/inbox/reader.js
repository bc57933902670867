/** @import { Rows } from "../protocol.js" */
/** @import { View } from "./lists.js" */

/** A list that has not come after so many ms is asked for again by the user. */
const PATIENCE = 15_000;

/**
 * Read a part of a list of the inbox. Throws if there is no answer.
 * @param {Element} root  <notify-root>
 * @param {View} view
 * @param {string} before  the place at which it goes on; empty for its begin
 * @returns {Promise<Rows>}
 */
export async function readRows(root, view, before) {
  // As the root resolves it: a <base> may lead to another site.
  const url = new URL("inbox/", new URL(root.getAttribute("src") ?? "/notify/", location.href));
  const user = root.getAttribute("user");
  for (const [name, value] of Object.entries({ view, before, user })) if (value) url.searchParams.set(name, value);
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), PATIENCE);
  try {
    const response = await fetch(url, { headers: { Accept: "application/json" }, mode: "same-origin", cache: "no-store", signal: limit.signal });
    const rows = await response.json();
    if (rows?.type !== "rows" || !Array.isArray(rows.notifications)) throw new Error(`notify: ${rows?.code ?? response.status}`);
    return rows;
  } finally {
    clearTimeout(timer);
  }
}
