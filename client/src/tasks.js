/**
 * How far tasks are, in their toasts. A script of its own beside notify.js: it
 * goes by what the page can see of that, so it can be left out, or replaced.
 *
 * @import { Client } from "./mailbox/client.js"
 * @import { Notification } from "./protocol.js"
 * @import { Words } from "./progress/promise.js"
 *
 * @typedef {HTMLElement & {client: Client | null, show: (notification: Notification) => void}} Root
 */
import { drawBar } from "./progress/bar.js";
import { drawFold, hasGrown } from "./progress/fold.js";
import { readLabels } from "./platform/labels.js";
import { release } from "./progress/memory.js";
import { find, follow, pending } from "./progress/promise.js";
import { isDone, runs } from "./protocol.js";
import { drawRing } from "./progress/ring.js";
import { summarize } from "./progress/summary.js";
import { advance, take } from "./progress/ticks.js";
import { say, speak } from "./progress/voice.js";

/** The words of this script; the server sends translations in the `labels` attribute. */
const DEFAULTS = {
  progress: "%(done)s of %(total)s",
  left: "about %(time)s left",
  queued: "Waiting to start",
  silent: "No sign of life for a while",
  lost: "Nothing was heard of it any more",
  cancel: "Cancel",
  cancelling: "Cancelling…",
  fewer: "Show fewer",
  task: "1 task running",
  tasks: "%(count)s tasks running",
};

/** @typedef {typeof DEFAULTS & {more: string}} Labels  more: as the button says it without this script */

/** A running task counts its time also while nothing is heard of it. */
const TICK = 1_000;

/** @type {any} */
let clock;

/** Whether all is drawn anew presently. */
let due = false;

/** How many ran behind "N more" the last time. */
let folded = 0;

/** Roots whose toasts are watched, and clients that are listened to. @type {WeakSet<object>} */
const watched = new WeakSet();

/** Draw bars from now on; harmless if it is done twice. */
export function start() {
  for (const event of ["notify:state", "notify:change"]) document.addEventListener(event, ({ target }) => watch(/** @type {Root} */ (target)));
  const look = () => {
    const root = document.querySelector("notify-root");
    if (root) watch(/** @type {any} */ (root));
  };
  look();
  // The time stands still while nobody looks.
  document.addEventListener("visibilitychange", look);
  customElements.whenDefined("notify-root").then(({ prototype }) => Object.assign(prototype, { promise }));
}

/**
 * Show how work of the page itself goes: a method of <notify-root>.
 * @template T
 * @this {Root}
 * @param {Promise<T>} work
 * @param {Words<T>} words
 */
function promise(work, words) {
  follow(this, work, words);
  return work;
}

/**
 * A notification of this page or of the server's.
 * @param {Root} root
 * @param {string | undefined} id
 */
function get(root, id) {
  return find(Number(id)) ?? advance(root.client?.store.get(Number(id)));
}

/**
 * Toasts are made, and made anew, when their content comes.
 * @param {Root} root
 */
function watch(root) {
  // Once for all that one document changed.
  if (!due) queueMicrotask(() => drawAll(root));
  due = true;
  hear(root);
  if (watched.has(root)) return;
  watched.add(root);
  new MutationObserver(() => drawAll(root)).observe(root, { childList: true, subtree: true });
}

/**
 * A root that was taken out and put in again has another client.
 * @param {Root} root
 */
function hear(root) {
  const { client } = root;
  if (!client || watched.has(client)) return;
  watched.add(client);
  client.on("tick", ({ ticks }) => {
    take(ticks, (id) => client.store.get(id));
    drawAll(root);
  });
}

/** @param {Root} root */
function drawAll(root) {
  due = false;
  clearTimeout(clock);
  const labels = { ...DEFAULTS, .../** @type {any} */ (readLabels(root.getAttribute("labels"))) };
  for (const item of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll(".nf-toast[id]"))) {
    const notification = get(root, item.dataset.id);
    if (!notification) continue;
    drawBar(item, notification, labels);
    speak(root, notification);
  }
  release((id) => {
    const notification = get(root, String(id));
    return Boolean(notification && runs(notification));
  });
  fold(root, labels);
  const closed = closedIn(root);
  for (const badge of document.querySelectorAll("notify-badge")) drawRing(badge, closed, labels);
  // Nobody looks at a hidden page.
  if ((closed.length > 0 || root.querySelector(".nf-progress")) && !document.hidden) clock = setTimeout(() => drawAll(root), TICK);
}

/**
 * Tasks that run although their toasts were closed.
 * @param {Root} root
 */
function closedIn(root) {
  const all = root.client?.store.all().map(advance) ?? [];
  const behind = idsBehind(root.querySelector(".nf-more"));
  const isOpen = (/** @type {string} */ id) => behind.includes(id) || root.querySelector(`.nf-toast[id][data-id="${id}"]`);
  return [
    ...all.filter((notification) => runs(notification) && isDone(notification) && !notification.archived_at),
    // Of the page's own nobody else keeps that they were closed.
    ...pending().filter(({ id }) => !isOpen(String(id))),
  ];
}

/**
 * The ids of what is behind "N more".
 * @param {HTMLElement | null} more
 */
function idsBehind(more) {
  return more?.dataset.ids?.split(" ").filter(Boolean) ?? [];
}

/**
 * What the button "N more" says, and that a task has begun behind it.
 * @param {Root} root
 * @param {Labels} labels
 */
function fold(root, labels) {
  const more = /** @type {HTMLElement | null} */ (root.querySelector(".nf-region:not([data-ducked]) > .nf-more"));
  if (!more) return;
  if (more.ariaExpanded === "true") {
    if (more.textContent !== labels.fewer) more.textContent = labels.fewer;
    // Those that began meanwhile had toasts, which were announced.
    folded = Infinity;
    return;
  }
  const behind = idsBehind(more);
  const tasks = behind.flatMap((id) => get(root, id) ?? []).filter(runs);
  drawFold(more, tasks, behind.length - tasks.length, labels);
  // Where one is on screen the newest is, and is announced itself.
  if (hasGrown(tasks, folded) && !root.querySelector(".nf-progress")) say(root, summarize(tasks, labels).text);
  folded = tasks.length;
}
