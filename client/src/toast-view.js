import { safeHref } from "./href.js";
import { icon } from "./icons.js";
import { fill, levelWord } from "./labels.js";

/** @import { Labels } from "./labels.js" */
/** @import { Notification } from "./protocol.js" */
/** @import { Toast } from "./toasts.js" */

/**
 * The element of one toast. Text goes in as text, never as markup.
 * @param {Document} document
 * @param {Toast} toast
 * @param {Labels} labels
 */
export function createToast(document, { notification }, labels) {
  const item = document.createElement("li");
  item.className = "nf-toast";
  item.id = `nf-t-${notification.id}`;
  item.tabIndex = 0;
  item.dataset.id = String(notification.id);
  item.dataset.state = "open";
  item.setAttribute("aria-labelledby", `${item.id}-h`);
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
  const version = `${notification.arrived}/${notification.count}`;
  if (item.dataset.version === version) return;
  item.dataset.version = version;
  item.dataset.level = notification.level;

  const document = item.ownerDocument;
  const focused = item.contains(document.activeElement);
  const body = element(document, "div", "nf-body");
  body.append(heading(item, notification, labels));
  if (notification.title) body.append(text(document, "p", "nf-text", notification.message));
  const links = actionLinks(document, notification);
  if (links) body.append(links);

  const close = element(document, "button", "nf-close");
  close.setAttribute("type", "button");
  close.setAttribute("aria-label", `${labels.dismiss}: ${notification.title || notification.message}`);
  close.append(icon(document, "close"));
  item.replaceChildren(icon(document, notification.level), body, close);
  if (focused) item.focus({ preventScroll: true });
}

/**
 * The title, or the message where there is none, as a link if it leads anywhere.
 * @param {HTMLElement} item
 * @param {Notification} notification
 * @param {Labels} labels
 */
function heading(item, notification, labels) {
  const document = item.ownerDocument;
  const line = element(document, "p", notification.title ? "nf-title" : "nf-text");
  line.id = `${item.id}-h`;
  line.append(text(document, "span", "nf-sr-text", `${levelWord(labels, notification.level)}: `));
  const href = safeHref(notification.url, document.baseURI);
  // The line takes its direction from these words alone: parts with a `dir` of
  // their own, as the level's name in the page's language, do not count.
  line.dir = "auto";
  const words = element(document, href ? "a" : "span", href ? "nf-link" : "nf-words");
  words.textContent = notification.title || notification.message;
  if (href) words.setAttribute("href", href);
  line.append(words);
  if (notification.count > 1) {
    const times = text(document, "span", "nf-count", `×${notification.count}`);
    times.setAttribute("role", "img");
    times.setAttribute("aria-label", fill(labels.times, { count: notification.count }));
    line.append(" ", times);
  }
  return line;
}

/**
 * @param {Document} document
 * @param {Notification} notification
 */
function actionLinks(document, { actions }) {
  const row = element(document, "div", "nf-actions");
  for (const { label, url } of actions) {
    const href = safeHref(url, document.baseURI);
    if (!href) continue;
    const link = text(document, "a", "nf-action", label);
    link.setAttribute("href", href);
    row.append(link);
  }
  return row.childElementCount > 0 ? row : null;
}

/**
 * @param {Document} document
 * @param {string} tag
 * @param {string} className
 */
function element(document, tag, className) {
  const node = document.createElement(tag);
  node.className = className;
  return node;
}

/**
 * @param {Document} document
 * @param {string} tag
 * @param {string} className
 * @param {string} content
 */
function text(document, tag, className, content) {
  const node = element(document, tag, className);
  // The text's own direction, not that of the page around it.
  node.dir = "auto";
  node.textContent = content;
  return node;
}
