import { element } from "../platform/dom.js";
import { fillCount } from "../platform/labels.js";

/**
 * @import { Labels } from "../platform/labels.js"
 * @import { Notification } from "../protocol.js"
 * @import { Toasts } from "./toasts.js"
 *
 * @typedef {object} Options
 * @property {Toasts} toasts
 * @property {() => Labels} labels
 *
 * @typedef {object} Fold  the state of the button "N more"
 * @property {"folded" | "expanded" | "ducked"} state  ducked: the whole stack is behind the button
 * @property {Notification[]} open  those that have a toast, newest first
 * @property {Notification[]} behind  those of them whose toast is not on screen
 *
 * @typedef {object} Decoration  what another script adds to the toasts when they are drawn
 * @property {(item: HTMLElement, notification: Notification) => void} toast  called for each toast on screen
 * @property {(fold: Fold) => (Node | string)[] | undefined} fold  called after that; returns the content of the folded
 *   button, or nothing if it has none to offer
 */

/**
 * The button "N more". Its text, its state and what is behind it are decided
 * here and nowhere else.
 */
export class MoreButton {
  _button = element("button", "nf-more", { type: "button", hidden: "" });
  #options;

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
  }

  /**
   * @param {boolean} ducked
   * @param {Decoration[]} decorations
   */
  draw(ducked, decorations) {
    const { toasts, labels } = this.#options;
    const all = toasts.all();
    const open = all.map(({ notification }) => notification);
    const behind = open.filter((_, index) => !all[index].visible);
    const state = ducked ? "ducked" : toasts._expanded ? "expanded" : "folded";
    const texts = {
      folded: fillCount(labels(), "more", behind.length),
      expanded: labels().fewer,
      ducked: `${labels().notifications} (${open.length})`,
    };
    /** @type {(Node | string)[]} */
    let content = [texts[state]];
    for (const draw of decorations) {
      const offered = draw.fold({ state, open, behind });
      if (offered && state === "folded") content = offered;
    }
    const text = content.map((part) => (typeof part === "string" ? part : part.textContent)).join("");
    // Replaced only if it changes, so that a screen reader that is at the button is not disturbed.
    if (this._button.textContent !== text) this._button.replaceChildren(...content);
    this._button.setAttribute("aria-expanded", String(state === "expanded"));
    this._button.hidden = (state === "folded" ? behind : open).length === 0;
  }
}
