/**
 * The script of the inbox behind the bell. page.js loads it when the bell is
 * first pointed at or focused. It reaches notify.js through <notify-root> alone.
 */
import { Panel } from "./inbox/panel.js";
import { loadStyles } from "./inbox/styles.js";

/** @import { NotifyRoot } from "./elements/root.js" */

/** @type {Panel | null} */
let panel = null;

/**
 * Get the panel ready. Returns once its style sheets are there.
 * @param {HTMLElement} bell  <notify-bell>
 */
export function prepare(bell) {
  return loadStyles(bell);
}

/**
 * Open the panel at a bell, or close it. Returns false if there is no connection whose notifications it could show.
 * @param {HTMLElement} bell  <notify-bell>
 * @param {HTMLElement} invoker  what the user has pressed, which gets the focus back
 */
export function open(bell, invoker) {
  const root = /** @type {NotifyRoot | null} */ (document.querySelector("notify-root:defined"));
  if (!root?.client || root.state === "closed") return false;
  if (!panel?.serves(root)) {
    panel?.remove();
    panel = new Panel(root, bell);
  }
  panel.open(bell, invoker);
  return true;
}

export function close() {
  panel?.close();
}

/** Returns whether the panel is open. */
export function isOpen() {
  return panel?.isOpen ?? false;
}
