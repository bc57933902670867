import { listen } from "../platform/emitter.js";

/**
 * @import { NotifyRoot } from "../elements/root.js"
 * @import { Notification } from "../protocol.js"
 *
 * @typedef {object} Taking  what the user is doing with the actions of one notification
 * @property {number} arrived  of the content whose actions they are
 * @property {number} [asks]  index of the action that is to be confirmed
 * @property {number} [busy]  index of the action that the server runs
 * @property {number} [ref]  of its command
 * @property {string} [problem]  why there is no outcome
 * @property {boolean} [over]  whether no action can be taken any more
 */

/** With these errors the message is for the user, in their language. */
const FOR_USERS = ["gone", "failed"];

/**
 * The actions that this tab is taking: from the click, over the question, to
 * the outcome, which comes with a change of the notification.
 */
export class Takings {
  /** @type {Map<number, Taking>} */
  #takings = new Map();
  #root;
  #changed;

  /**
   * @param {NotifyRoot} root
   * @param {(id: number) => void} changed  called when a notification has to be drawn again
   */
  constructor(root, changed) {
    this.#root = root;
    this.#changed = changed;
    listen(root, "notify:error", ({ detail }) => this.#refuse(detail));
    listen(root, "notify:change", ({ detail: { notification } }) => {
      if (notification.outcome) this.#takings.delete(notification.id);
    });
  }

  /**
   * @param {Notification} notification
   * @returns {Taking}
   */
  of({ id, arrived }) {
    const taking = this.#takings.get(id);
    // New content has its own actions.
    return taking?.arrived === arrived ? taking : { arrived };
  }

  /**
   * The user has pressed the button of an action.
   * @param {Notification} notification
   * @param {number} index
   */
  press(notification, index) {
    const { arrived, busy, asks } = this.of(notification);
    if (busy !== undefined) return;
    if (notification.actions[index].confirm && asks !== index) return this.#set(notification, { arrived, asks: index });
    const ref = this.#root.client?.act(notification, index);
    this.#set(notification, { arrived, busy: index, ref });
  }

  /**
   * The user does not confirm.
   * @param {Notification} notification
   */
  cancel({ id, arrived }) {
    this.#set({ id }, { arrived });
  }

  /** @param {{ref?: number | null, code: string, message: string}} error */
  #refuse({ ref, code, message }) {
    for (const [id, taking] of this.#takings) {
      if (taking.ref === undefined || taking.ref !== ref) continue;
      const problem = FOR_USERS.includes(code) ? message : "";
      this.#set({ id }, { arrived: taking.arrived, problem, over: code === "gone" });
    }
  }

  /**
   * @param {{id: number}} notification
   * @param {Taking} taking
   */
  #set({ id }, taking) {
    this.#takings.set(id, taking);
    this.#changed(id);
  }
}
