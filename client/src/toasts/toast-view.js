import { element } from "../platform/dom.js";
import { safeHref } from "../platform/href.js";
import { icon } from "../platform/icons.js";
import { fill, levelWord } from "../platform/labels.js";

/** @import { Labels } from "../platform/labels.js" */
/** @import { Notification } from "../protocol.js" */
/** @import { Toast } from "./toasts.js" */

/**
 * The element of one toast.
 * @param {Toast} toast
 * @param {Labels} labels
 */
export function createToast({ notification }, labels) {
  const id = `nf-t-${notification.id}`;
  const attributes = { id, tabindex: "0", "data-id": notification.id, "data-state": "open", "aria-labelledby": `${id}-h` };
  const item = element("li", "nf-toast", attributes);
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
  const { title, message, level, arrived } = notification;
  const version = arrived + level; // a task that is lost has another level
  if (item.dataset.version === version) return;
  Object.assign(item.dataset, { version, level });

  const focused = item.contains(document.activeElement);
  const body = element("div", "nf-body", {}, heading(item, notification, labels));
  if (title) body.append(text("p", "nf-text", message));
  const links = actionLinks(notification);
  if (links.length > 0) body.append(element("div", "nf-actions", {}, ...links));

  const name = `${labels.dismiss}: ${title || message}`;
  const close = element("button", "nf-close", { type: "button", "aria-label": name }, icon("close"));
  item.replaceChildren(icon(level), body, close);
  if (focused) item.focus({ preventScroll: true });
}

/**
 * The title, or the message where there is none, as a link if it leads anywhere.
 * @param {HTMLElement} item
 * @param {Notification} notification
 * @param {Labels} labels
 */
function heading(item, { title, message, level, url, count }, labels) {
  const href = safeHref(url, document.baseURI);
  const words = title || message;
  // The line takes its direction from these words alone: parts with a `dir` of
  // their own, as the level's name in the page's language, do not count.
  const line = text("p", title ? "nf-title" : "nf-text", "", { id: `${item.id}-h` });
  line.append(
    text("span", "nf-sr-text", `${levelWord(labels, level)}: `),
    href ? element("a", "nf-link", { href }, words) : element("span", "nf-words", {}, words),
  );
  if (count > 1) line.append(" ", text("span", "nf-count", `×${count}`, { role: "img", "aria-label": fill(labels.times, { count }) }));
  return line;
}

/**
 * @param {Notification} notification
 */
function actionLinks({ actions }) {
  return actions.flatMap(({ label, url }) => {
    const href = safeHref(url, document.baseURI);
    return href ? text("a", "nf-action", label, { href }) : [];
  });
}

/**
 * Words with their own direction, not that of the page around them.
 * @param {keyof HTMLElementTagNameMap} tag
 * @param {string} name
 * @param {string} content
 * @param {Record<string, string>} [attributes]
 */
function text(tag, name, content, attributes) {
  return element(tag, name, { dir: "auto", ...attributes }, content);
}
