import { fillCount, labelsOf as wordsOf } from "../platform/labels.js";
import { parseJson } from "../platform/json.js";
import { labelsOf as tasksOf } from "../progress/labels.js";
import { labelsOf as actionsOf } from "../actions/labels.js";

/**
 * @typedef {"all" | "unread" | "archived" | "lists" | "mark_read" | "mark_unread" | "archive" | "unarchive" | "is_unread"
 *   | "was_archived" | "undo" | "read_all" | "older" | "inbox" | "close" | "offline" | "failed" | "retry" | "unsaved"
 *   | "no_all" | "no_unread" | "no_archived"} Name
 * @typedef {Record<Name, string>} Labels  from the server, in the language of the page
 */

/** The texts of the panel: its own, which the bell brings, and those of the root. */
export class Texts {
  #bell;
  #root;

  /**
   * @param {Element} bell
   * @param {Element} root
   */
  constructor(bell, root) {
    this.#bell = parseJson(bell.getAttribute("labels")) ?? {};
    this.#root = root;
  }

  /** @returns {Labels} */
  get own() {
    return this.#bell;
  }

  /** Those of the toasts. */
  get root() {
    return wordsOf(this.#root);
  }

  get tasks() {
    return tasksOf(this.#root);
  }

  get actions() {
    return actionsOf(this.#root);
  }

  /**
   * @param {"like" | "count"} name
   * @param {number} count
   */
  counted(name, count) {
    return fillCount(this.#bell, name, count);
  }
}
