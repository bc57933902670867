import { element } from "../platform/dom.js";
import { safeHref } from "../platform/href.js";

/**
 * @import { Notification, Outcome } from "../protocol.js"
 * @import { Labels } from "./labels.js"
 * @import { Takings } from "./taking.js"
 */

/**
 * Draw the actions of a notification that the server runs, or the outcome of one of them.
 * @param {HTMLElement} part  where they are; only if something has changed, its nodes do
 * @param {Notification} notification
 * @param {Takings} takings
 * @param {Labels} labels
 */
export function drawActions(part, notification, takings, labels) {
  const { actions, outcome, arrived } = notification;
  const taking = takings.of(notification);
  const version = JSON.stringify([arrived, outcome, taking]);
  if (part.dataset.version === version) return;
  part.dataset.version = version;
  const hadFocus = part.contains(document.activeElement);
  part.replaceChildren(...(outcome ? [result(outcome)] : buttons()));
  part.hidden = part.childElementCount === 0;
  // The button that had the focus is gone.
  const next = part.querySelector("[data-first]") ?? part.querySelector("button, [tabindex]");
  if (hadFocus) /** @type {HTMLElement | null} */ (next)?.focus({ preventScroll: true });

  /** @returns {Node[]} */
  function buttons() {
    const { asks, over } = taking;
    const asked = asks === undefined ? undefined : actions[asks];
    if (asked) return [group(asked.confirm ?? "", [button(asks ?? 0), cancel()])];
    const runs = over ? [] : actions.flatMap((action, index) => (action.run ? [button(index)] : []));
    const problem = taking.problem ?? "";
    const note = "problem" in taking ? [element("p", "nf-problem", { role: "alert", dir: "auto", ...(over && { tabindex: -1 }) }, problem || labels.refused)] : [];
    return [...note, ...runs];
  }

  /** @param {number} index */
  function button(index) {
    const { label, style } = actions[index];
    const { busy } = taking;
    // Not `disabled`, which would take the focus away.
    const state = busy === undefined ? {} : { "aria-disabled": "true", ...(busy === index && { "data-busy": "", "data-first": "" }) };
    const made = element("button", "nf-action nf-run", { type: "button", dir: "auto", ...(style && { "data-style": style }), ...state }, label);
    made.addEventListener("click", () => takings.press(notification, index));
    return made;
  }

  function cancel() {
    const made = element("button", "nf-action", { type: "button", "data-first": "" }, labels.cancel);
    made.addEventListener("click", () => takings.cancel(notification));
    return made;
  }
}

/**
 * The question before an action is run.
 * @param {string} question
 * @param {Node[]} answers
 */
function group(question, answers) {
  return element("div", "nf-confirm", { role: "group", "aria-label": question }, element("p", "nf-question", { dir: "auto" }, question), ...answers);
}

/**
 * The outcome of an action.
 * @param {Outcome} outcome
 */
function result({ message, level, url }) {
  const href = safeHref(url);
  const text = href ? element("a", "nf-link", { href }, message) : message;
  return element("p", "nf-outcome", { "data-level": level, dir: "auto", tabindex: -1 }, text);
}
