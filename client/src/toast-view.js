import { element } from "./dom.js";
import { safeHref } from "./href.js";
import { icon } from "./icons.js";
import { fill, levelWord } from "./labels.js";

/** @import { Labels } from "./labels.js" */
/** @import { Notification } from "./protocol.js" */
/** @import { Toast } from "./toasts.js" */

/**
 * The element of one toast.
 * @param {Document} document
 * @param {Toast} toast
 * @param {Labels} labels
 */
export function createToast(document, { notification }, labels) {
  const id = `nf-t-${notification.id}`;
  const attributes = { id, tabindex: "0", "data-id": String(notification.id), "data-state": "open", "aria-labelledby": `${id}-h` };
  const item = element(document, "li", "nf-toast", attributes);
  fillToast(item, notification, labels);
  return item;
}

/**
 * Bring the element up to date; where the content is the same nothing moves.
 * @param {HTMLElement} item
 * @param {Notification} notification
 * @param {Labels} labels
 */
export function fillToast(item, notification, labels) {
  const { title, message, level, arrived, count } = notification;
  const version = `${arrived}/${count}`;
  if (item.dataset.version === version) return;
  Object.assign(item.dataset, { version, level });

  const document = item.ownerDocument;
  const focused = item.contains(document.activeElement);
  const body = element(document, "div", "nf-body", {}, heading(item, notification, labels));
  if (title) body.append(text(document, "p", "nf-text", message));
  const links = actionLinks(document, notification);
  if (links.length > 0) body.append(element(document, "div", "nf-actions", {}, ...links));

  const name = `${labels.dismiss}: ${title || message}`;
  const close = element(document, "button", "nf-close", { type: "button", "aria-label": name }, icon(document, "close"));
  item.replaceChildren(icon(document, level), body, close);
  if (focused) item.focus({ preventScroll: true });
}

/**
 * The title, or the message where there is none, as a link if it leads anywhere.
 * @param {HTMLElement} item
 * @param {Notification} notification
 * @param {Labels} labels
 */
function heading(item, { title, message, level, url, count }, labels) {
  const document = item.ownerDocument;
  const href = safeHref(url, document.baseURI);
  const words = title || message;
  // The line takes its direction from these words alone: parts with a `dir` of
  // their own, as the level's name in the page's language, do not count.
  const line = text(document, "p", title ? "nf-title" : "nf-text", "", { id: `${item.id}-h` });
  line.append(
    text(document, "span", "nf-sr-text", `${levelWord(labels, level)}: `),
    href ? element(document, "a", "nf-link", { href }, words) : element(document, "span", "nf-words", {}, words),
  );
  if (count > 1) line.append(" ", text(document, "span", "nf-count", `×${count}`, { role: "img", "aria-label": fill(labels.times, { count }) }));
  return line;
}

/**
 * @param {Document} document
 * @param {Notification} notification
 */
function actionLinks(document, { actions }) {
  return actions.flatMap(({ label, url }) => {
    const href = safeHref(url, document.baseURI);
    return href ? text(document, "a", "nf-action", label, { href }) : [];
  });
}

/**
 * Words with their own direction, not that of the page around them.
 * @param {Document} document
 * @param {keyof HTMLElementTagNameMap} tag
 * @param {string} name
 * @param {string} content
 * @param {Record<string, string>} [attributes]
 */
function text(document, tag, name, content, attributes) {
  return element(document, tag, name, { dir: "auto", ...attributes }, content);
}
