import { dress } from "../platform/dom.js";

/** The style sheets that were asked for. @type {Map<string, Promise<unknown>>} */
const asked = new Map();

/**
 * Load the style sheets of the panel. Returns once they apply, or cannot be loaded.
 * @param {HTMLElement} bell  its attribute `styles` has their addresses
 */
export function loadStyles(bell) {
  const addresses = bell.getAttribute("styles")?.split(" ") ?? [];
  return Promise.all(addresses.filter(Boolean).map((href) => load(new URL(href, location.href).href, bell.nonce)));
}

/**
 * @param {string} href
 * @param {string} [nonce]
 */
function load(href, nonce) {
  const links = [...document.querySelectorAll(/** @type {"link"} */ ("link[rel=stylesheet]"))];
  // A swap of the head may have taken it away.
  if (links.some((link) => link.href === href)) return asked.get(href);
  const link = dress(document.createElement("link"), { rel: "stylesheet", href });
  if (nonce) link.nonce = nonce;
  const loaded = new Promise((resolve) => {
    link.onload = link.onerror = resolve;
  });
  asked.set(href, loaded);
  document.head.append(link);
  return loaded;
}
