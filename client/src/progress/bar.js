import { now } from "../platform/clock.js";
import { element } from "../platform/dom.js";
import { Eta } from "./eta.js";
import { fill } from "../platform/labels.js";
import { keep } from "./memory.js";

/** @import { Notification, Progress } from "../protocol.js" */
/** @import { Labels } from "./labels.js" */
/** @typedef {[bar: HTMLProgressElement, note: HTMLElement, cancel: HTMLButtonElement]} Parts */

/** A task may take so many ms to confirm that it is being cancelled. After that the button works again. */
const PATIENCE = 10_000;

/**
 * Draw the progress of a task into its toast. The nodes stay while it runs, so
 * that an update disturbs neither the focus nor a screen reader.
 * @param {HTMLElement} item
 * @param {Notification} notification
 * @param {Labels} labels
 * @param {() => number | undefined} requestCancel  returns the position of the task at that time
 */
export function drawBar(item, notification, labels, requestCancel) {
  const { progress } = notification;
  const part = item.querySelector(".nf-progress");
  if (!progress || progress.ended_at) return part?.remove();
  const [bar, note, cancel] = /** @type {Parts} */ (/** @type {unknown} */ ((part ?? build(item, notification, labels, requestCancel)).children));
  // A newer row that still can be cancelled means that the request was not granted.
  if (notification.position > Number(cancel.dataset.asked)) cancel.disabled = false;
  const state = cancel.disabled ? "cancelling" : progress.state;
  const text = statusText({ ...progress, state }, labels, timeOf(notification, now()));
  bar.hidden = progress.state === "lost";
  if (typeof progress.total !== "number" || progress.state === "queued") bar.removeAttribute("value");
  else Object.assign(bar, { max: progress.total || 1, value: progress.done });
  bar.setAttribute("aria-valuetext", text);
  if (note.textContent !== text) note.textContent = text;
  cancel.hidden = !progress.cancellable;
}

/**
 * The seconds that a task will still take, or has taken if its total is unknown.
 * @param {Notification} notification
 * @param {number} time  by now()
 * @returns {{left?: number | null, elapsed?: number}}
 */
function timeOf(notification, time) {
  const { progress, updated_at } = notification;
  if (progress?.state !== "running" || progress.silent) return {};
  const { done, total, started_at } = progress;
  if (total === null) {
    // Only once, because the wall clock may be set while the task runs.
    const began = keep(notification, "began", () => time - (Date.now() - Date.parse(started_at ?? "")));
    return { elapsed: Math.floor((time - began) / 1_000) };
  }
  // Both times are of the server's clock, which may differ from ours.
  const spent = Date.parse(updated_at) - Date.parse(started_at ?? "");
  const eta = keep(notification, "eta", () => new Eta(0, time - (spent || 0)));
  eta.update(done, total, time);
  return { left: eta.left(time) };
}

/**
 * The text beside the bar.
 * @param {Progress} progress
 * @param {Labels} labels
 * @param {{left?: number | null, elapsed?: number}} [time]  seconds
 */
export function statusText({ state, done, total, message, silent }, labels, { left, elapsed } = {}) {
  /** @type {Record<string, string>} */
  const states = { queued: labels.queued, cancelling: labels.cancelling, lost: labels.lost };
  const number = numbers(document.documentElement.lang);
  const percent = total ? `${Math.floor((100 * Math.min(done, total)) / total)}\u00a0%` : "";
  const share = percent && ` (${percent})`;
  // A task in steps knows its share alone, as a part of 1.
  const counted = total === 1 ? percent : fill(labels.progress, { done: number.format(done), total: number.format(total ?? 0) }) + share;
  const count = typeof total === "number" ? counted : done ? number.format(done) : "";
  const time = left ? fill(labels.left, { time: span(left) }) : elapsed && elapsed > 2 ? span(elapsed) : "";
  const parts = [states[state] ?? count, message, time, silent && state !== "lost" ? labels.silent : ""];
  return parts.filter(Boolean).join("\u00a0· ");
}

/**
 * A duration in the language of the page.
 * @param {number} seconds
 */
function span(seconds) {
  const [value, unit] = seconds >= 3_600 ? [seconds / 3_600, "hour"] : seconds >= 60 ? [seconds / 60, "minute"] : [seconds, "second"];
  return numbers(document.documentElement.lang, { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: unit === "hour" ? 1 : 0 }).format(value);
}

/**
 * @param {string} language  of the page; an invalid one falls back to the browser's
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
 * @param {() => number | undefined} requestCancel
 */
function build(item, { title, message }, labels, requestCancel) {
  const bar = element("progress", "nf-bar", { "aria-label": title || message });
  const note = element("p", "nf-text nf-note", { dir: "auto" });
  const cancel = element("button", "nf-action nf-cancel", { type: "button" }, labels.cancel);
  cancel.addEventListener("click", () => {
    const position = requestCancel();
    if (position === undefined) return;
    cancel.disabled = true;
    cancel.dataset.asked = String(position);
    setTimeout(() => (cancel.disabled = false), PATIENCE);
  });
  const part = element("div", "nf-progress", {}, bar, note, cancel);
  item.querySelector(".nf-body")?.append(part);
  return part;
}
