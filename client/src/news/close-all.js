import { element } from "../platform/dom.js";

/** @import { NotifyRoot } from "../elements/root.js" */

/**
 * Draw the button that closes all toasts, beside the button "N more".
 * @param {NotifyRoot} root
 * @param {boolean} on
 * @param {string} text
 * @param {() => void} close
 */
export function drawCloseAll(root, on, text, close) {
  const more = root.querySelector(".nf-more");
  let button = /** @type {HTMLElement | null} */ (root.querySelector(".nf-all"));
  if (!button) {
    if (!on || !more) return;
    button = element("button", "nf-all", { type: "button" }, text);
    button.onclick = () => {
      // Gives the focus back to where it came from, before the button that has it is hidden.
      if (button === document.activeElement) document.dispatchEvent(new KeyboardEvent("keydown", { key: "F6" }));
      close();
    };
    more.after(button);
  }
  button.hidden = !on;
}
