import { now } from "../platform/clock.js";
import { Timer } from "../platform/timer.js";
import { isDone, runs } from "../protocol.js";
import { drawBar } from "./bar.js";
import { labelsOf } from "./labels.js";
import { release } from "./memory.js";
import { milestone } from "./milestones.js";
import { find, pending } from "./promise.js";
import { drawRing } from "./ring.js";
import { foldContent, hasGrown, summarize } from "./summary.js";
import { advance, take } from "./ticks.js";

/** @import { NotifyRoot } from "../elements/root.js" */
/** @import { Notification } from "../protocol.js" */
/** @import { Decoration, Fold } from "../toasts/more.js" */

/** How often the times of running tasks are drawn, in ms, also while no update comes. */
const TICK = 1_000;

/**
 * Shows the progress of tasks in one <notify-root>: bars in toasts, what the
 * button "N more" has behind it, and rings on badges.
 * @implements {Decoration}
 */
export class TaskDisplay {
  /** The ids of all open toasts. */
  #open = new Set();
  /** How many tasks ran behind "N more" at the last drawing. */
  #folded = 0;
  #due = false;
  #clock = new Timer();
  /** The client whose ticks are taken. @type {unknown} */
  #client;
  #root;

  /** @param {NotifyRoot} root */
  constructor(root) {
    this.#root = root;
    this.redraw = root.decorate(this);
    this.update();
  }

  /** Take what has changed beside the toasts. */
  update() {
    this.#listenToTicks();
    // In a microtask, so that all changes of one document are drawn once.
    if (!this.#due) queueMicrotask(() => this.#drawRings());
    this.#due = true;
  }

  /**
   * @param {HTMLElement} item
   * @param {Notification} notification
   */
  toast(item, notification) {
    const current = advance(notification);
    drawBar(item, current, labelsOf(this.#root), () => this.#cancel(notification.id));
    const percent = milestone(current, now());
    if (percent) this.#root.announce(`${current.title || current.message}: ${percent} %`);
  }

  /** @param {Fold} fold */
  fold({ state, open, behind }) {
    this.#open = new Set(open.map(({ id }) => id));
    this.update();
    // The tasks that begin while the stack is expanded have toasts, which are announced.
    if (state === "expanded") this.#folded = Infinity;
    if (state !== "folded") return;
    const labels = labelsOf(this.#root);
    const tasks = behind.map(advance).filter(runs);
    // If a task is on screen it is the newest, and its toast is announced.
    if (hasGrown(tasks, this.#folded) && !this.#hasBar) this.#root.announce(summarize(tasks, labels).text);
    this.#folded = tasks.length;
    return foldContent(tasks, behind.length - tasks.length, labels);
  }

  /** A root that was removed and inserted again has another client. */
  #listenToTicks() {
    const { client } = this.#root;
    if (client === this.#client) return;
    this.#client = client;
    client?.on("tick", ({ ticks }) => {
      take(ticks, (id) => client.store.get(id));
      this.redraw();
    });
  }

  get #hasBar() {
    return this.#root.querySelector(".nf-progress") !== null;
  }

  #drawRings() {
    this.#due = false;
    this.#clock.stop();
    // A root that another one has replaced must not draw on the same badges.
    if (!this.#root.isConnected) return;
    const { client } = this.#root;
    release((id) => {
      const notification = find(id) ?? client?.store.get(id);
      return Boolean(notification && runs(notification));
    });
    const closed = this.#closed();
    for (const badge of document.querySelectorAll("notify-badge")) drawRing(badge, closed, labelsOf(this.#root));
    // Nobody looks at a hidden page, so its clock stands still until it is visible again.
    if ((closed.length > 0 || this.#hasBar) && !document.hidden) this.#clock.start(TICK, this.redraw);
  }

  /** The tasks that are running although their toasts were closed. */
  #closed() {
    const all = this.#root.client?.store.all().map(advance) ?? [];
    return [
      ...all.filter((notification) => runs(notification) && isDone(notification) && !notification.archived_at),
      // Only this page knows that the toast of its own work was closed.
      ...pending().filter(({ id }) => !this.#open.has(id)),
    ];
  }

  /**
   * Ask a task to end, as it is shown now. Returns its position, if it is known.
   * @param {number} id
   */
  #cancel(id) {
    const { client } = this.#root;
    const notification = client?.store.get(id);
    if (notification) client?.mark("cancel", [notification]);
    return notification?.position;
  }
}
