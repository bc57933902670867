import { element } from "../platform/dom.js";
import { Eta } from "./eta.js";
import { fill } from "../platform/labels.js";
import { keep } from "./memory.js";

/** @import { Notification, Progress } from "../protocol.js" */
/** @import { Labels, Root } from "../tasks.js" */

/** How long a task may take to say that it is to end, in ms. */
const PATIENCE = 10_000;

/**
 * How far a task is, in its toast. The nodes stay while it runs, so that
 * neither the focus nor a screen reader is disturbed by an update.
 * @param {HTMLElement} item
 * @param {Notification} notification
 * @param {Labels} labels
 */
export function drawBar(item, notification, labels) {
  const { progress } = notification;
  const part = item.querySelector(".nf-progress");
  if (!progress || progress.ended_at) return part?.remove();
  const { bar, note, cancel } = part ? partsOf(part) : build(item, notification, labels);
  // It was asked for, and the server says later that it still can be.
  if (notification.position > Number(cancel.dataset.asked)) cancel.disabled = false;
  const state = cancel.disabled ? "cancelling" : progress.state;
  const text = status({ ...progress, state }, labels, timeOf(notification, Date.now()));
  bar.hidden = progress.state === "lost";
  if (typeof progress.total !== "number" || progress.state === "queued") bar.removeAttribute("value");
  else Object.assign(bar, { max: progress.total || 1, value: progress.done });
  bar.setAttribute("aria-valuetext", text);
  if (note.textContent !== text) note.textContent = text;
  cancel.hidden = !progress.cancellable;
}

/**
 * Seconds that it will still take, or, where it has no end in sight, that it has taken.
 * @param {Notification} notification
 * @param {number} now  ms
 * @returns {{left?: number | null, elapsed?: number}}
 */
function timeOf(notification, now) {
  const { progress, updated_at } = notification;
  if (progress?.state !== "running" || progress.silent) return {};
  const { done, total, started_at } = progress;
  if (total === null) return { elapsed: Math.floor((now - Date.parse(started_at ?? "")) / 1_000) };
  // By the server's clock, whatever ours says.
  const spent = Date.parse(updated_at) - Date.parse(started_at ?? "");
  const eta = keep(notification, "eta", () => new Eta(0, now - (spent || 0)));
  eta.update(done, total, now);
  return { left: eta.left(now) };
}

/**
 * What is said of it beside the bar.
 * @param {Progress} progress
 * @param {Labels} labels
 * @param {{left?: number | null, elapsed?: number}} [time]  seconds
 */
export function status({ state, done, total, message, silent }, labels, { left, elapsed } = {}) {
  const words = { queued: labels.queued, cancelling: labels.cancelling, lost: labels.lost };
  const number = numbers(document.documentElement.lang);
  const percent = total ? `${Math.floor((100 * Math.min(done, total)) / total)} %` : "";
  const share = percent && ` (${percent})`;
  // Of a task in steps no more than the share is known, which is the part of 1.
  const counted = total === 1 ? percent : fill(labels.progress, { done: number.format(done), total: number.format(total ?? 0) }) + share;
  const count = typeof total === "number" ? counted : done ? number.format(done) : "";
  const time = left ? fill(labels.left, { time: span(left) }) : elapsed && elapsed > 2 ? span(elapsed) : "";
  const parts = [/** @type {Record<string, string>} */ (words)[state] ?? count, message, time, silent && state !== "lost" ? labels.silent : ""];
  return parts.filter(Boolean).join(" · ");
}

/**
 * A time in words of the page's language.
 * @param {number} seconds
 */
function span(seconds) {
  const [value, unit] = seconds >= 3_600 ? [seconds / 3_600, "hour"] : seconds >= 60 ? [seconds / 60, "minute"] : [seconds, "second"];
  return numbers(document.documentElement.lang, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: unit === "hour" ? 1 : 0 }).format(value);
}

/**
 * @param {string} language  of the page, which may have written anything
 * @param {any} [style]
 */
function numbers(language, style) {
  try {
    return new Intl.NumberFormat(language || undefined, style);
  } catch {
    return new Intl.NumberFormat(undefined, style);
  }
}

/**
 * @param {HTMLElement} item
 * @param {Notification} notification
 * @param {Labels} labels
 */
function build(item, { title, message }, labels) {
  const bar = element("progress", "nf-bar", { "aria-label": title || message });
  const note = element("p", "nf-text nf-note", { dir: "auto" });
  const cancel = element("button", "nf-action nf-cancel", { type: "button" }, labels.cancel);
  cancel.addEventListener("click", () => ask(item, cancel));
  item.querySelector(".nf-body")?.append(element("div", "nf-progress", {}, bar, note, cancel));
  return { bar, note, cancel };
}

/** @param {Element} part */
function partsOf(part) {
  const [bar, note, cancel] = part.children;
  return { bar: /** @type {HTMLProgressElement} */ (bar), note, cancel: /** @type {HTMLButtonElement} */ (cancel) };
}

/**
 * Ask the task to end, as it is shown now.
 * @param {HTMLElement} item
 * @param {HTMLButtonElement} cancel
 */
function ask(item, cancel) {
  const client = /** @type {Root | null} */ (item.closest("notify-root"))?.client;
  const notification = client?.store.get(Number(item.dataset.id));
  if (!client || !notification) return;
  cancel.disabled = true;
  cancel.dataset.asked = String(notification.position);
  client.mark("cancel", [notification]);
  // Refused, or not heard of: it may be asked again.
  setTimeout(() => (cancel.disabled = false), PATIENCE);
}
