import { listen } from "../platform/emitter.js";

/** A finger that has moved a toast so far closes it, in pixels, */
const FAR = 45;

/** and so does one that is so fast, in pixels per ms, after it has moved a few. */
const FAST = 0.5;
const FEW = 10;

/** The toast has disappeared after so many pixels, and in as many ms. */
const GONE = 320;

/** Elements that use the finger themselves. */
const BUSY = "a, button";

/** @typedef {{id: number, x: number, at: number, sign: number, item: HTMLElement, motion: Animation}} Swipe */

/**
 * Let fingers swipe toasts away, towards the end of the line.
 * @param {EventTarget} page
 */
export function startSwiping(page) {
  /** @type {Swipe | null} */
  let swipe = null;

  listen(page, "pointerdown", ({ target, pointerType, isPrimary, pointerId: id, clientX: x, timeStamp: at }) => {
    const item = target.closest?.("notify-root .nf-toast[data-state=open]");
    if (pointerType !== "touch" || !isPrimary || !item || target.closest(BUSY)) return;
    const sign = getComputedStyle(item).direction === "rtl" ? -1 : 1;
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const end = { opacity: 0, transform: still ? "none" : `translateX(${sign * GONE}px)` };
    const motion = item.animate([{}, end], { duration: GONE, fill: "both" });
    motion.pause();
    swipe = { id, x, at, sign, item, motion };
  });

  listen(page, "pointermove pointerup pointercancel", ({ type, pointerId, clientX, timeStamp }) => {
    if (swipe?.id !== pointerId) return;
    const { x, at, sign, item, motion } = /** @type {Swipe} */ (swipe);
    const way = (clientX - x) * sign;
    // Without a selection, which the user may have begun meanwhile.
    const free = type !== "pointercancel" && getSelection()?.isCollapsed !== false;
    if (free && type === "pointermove") {
      motion.currentTime = Math.max(0, way);
      return;
    }
    swipe = null;
    if (!free || (way < FAR && (way < FEW || way / (timeStamp - at) < FAST))) return motion.cancel();
    motion.play();
    /** @type {HTMLElement | null} */ (item.querySelector(".nf-close"))?.click();
  });
}
