import { element } from "../platform/dom.js";
import { safeHref } from "../platform/href.js";
import { icon } from "../platform/icons.js";
import { fillCount, levelName } from "../platform/labels.js";

/** @import { Labels } from "../platform/labels.js" */
/** @import { Notification } from "../protocol.js" */

/** A message of more than 400 characters or 8 lines is cut off until the user wants to see all of it. */
const LONG = /[^]{401}|(.*\n){8}/;

/**
 * Create the element of one toast, without its content.
 * @param {Notification} notification
 */
export function createToast({ id }) {
  return element("li", "nf-toast", { tabindex: "0", "data-id": id, "data-state": "open" });
}

/**
 * Bring the element up to date. If the content is the same, no node changes.
 * @param {HTMLElement} item
 * @param {Notification} notification
 * @param {Labels} labels
 */
export function fillToast(item, notification, labels) {
  const { title, message, level, arrived } = notification;
  const version = arrived + level; // a task that is lost gets another level, with the same content
  if (item.dataset.version === version) return;
  Object.assign(item.dataset, { version, level });

  const focused = item.contains(document.activeElement);
  const name = title || message;
  // The name itself, and not the id of the heading: the page may have an element with the same id.
  item.setAttribute("aria-label", `${levelName(labels, level)}: ${name}`);
  const body = element("div", "nf-body", {}, heading(notification, labels));
  if (title) body.append(text("p", "nf-text", message));
  const actions = actionLinks(notification);
  if (item.toggleAttribute("data-long", LONG.test(message))) actions.unshift(unfold(item, labels));
  if (actions.length > 0) body.append(element("div", "nf-actions", {}, ...actions));

  const close = element("button", "nf-close", { type: "button", "aria-label": `${labels.dismiss}: ${name}` }, icon("close"));
  item.replaceChildren(icon(level), body, close);
  if (focused) item.focus({ preventScroll: true });
}

/**
 * The title, or the message if it has no title; as a link if it has an address.
 * @param {Notification} notification
 * @param {Labels} labels
 */
function heading({ title, message, level, url, count }, labels) {
  const href = safeHref(url);
  const name = title || message;
  // `dir="auto"` takes the direction of the line from the name alone, because it skips parts that have a
  // `dir` of their own, such as the level in the page's language.
  const line = text("p", title ? "nf-title" : "nf-text", "");
  line.append(
    text("span", "nf-sr-text", `${levelName(labels, level)}: `),
    href ? element("a", "nf-link", { href }, name) : element("span", "nf-words", {}, name),
  );
  if (count > 1) line.append(" ", text("span", "nf-count", `×${count}`, { role: "img", "aria-label": fillCount(labels, "times", count) }));
  return line;
}

/**
 * The button that shows all of a long message.
 * @param {HTMLElement} item
 * @param {Labels} labels
 */
function unfold(item, labels) {
  const button = element("button", "nf-action", { type: "button" }, labels.whole);
  button.addEventListener("click", () => {
    item.focus({ preventScroll: true });
    item.removeAttribute("data-long");
    button.remove();
  });
  return button;
}

/**
 * @param {Notification} notification
 * @returns {HTMLElement[]}
 */
function actionLinks({ actions }) {
  return actions.flatMap(({ label, url }) => {
    const href = safeHref(url);
    return href ? text("a", "nf-action", label, { href }) : [];
  });
}

/**
 * A text with its own direction, not that of the page around it.
 * @param {keyof HTMLElementTagNameMap} tag
 * @param {string} name
 * @param {string} content
 * @param {Record<string, string>} [attributes]
 */
function text(tag, name, content, attributes) {
  return element(tag, name, { dir: "auto", ...attributes }, content);
}
