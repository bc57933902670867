import { listen } from "../platform/emitter.js";

/** This share of a row has to be in view. */
const SHARE = 0.5;

/** Which rows are on the screen: in view of the list, in a tab that is visible. */
export class Sight {
  /** @type {Set<number>} */
  #inView = new Set();
  #watch;
  #report;

  /**
   * @param {Element} list  what scrolls
   * @param {(ids: number[]) => void} report  called with those on the screen, again whenever others are
   */
  constructor(list, report) {
    this.#report = report;
    this.#watch = new IntersectionObserver((entries) => this.#look(entries), { root: list, threshold: [0, SHARE] });
    listen(document, "visibilitychange", () => this.report());
  }

  /** @param {Element} row */
  add(row) {
    this.#watch.observe(row);
  }

  /** @param {Element} row */
  remove(row) {
    this.#watch.unobserve(row);
    this.#inView.delete(idOf(row));
  }

  report() {
    if (!document.hidden && this.#inView.size > 0) this.#report([...this.#inView]);
  }

  /** @param {IntersectionObserverEntry[]} entries */
  #look(entries) {
    for (const { target, intersectionRatio, intersectionRect, rootBounds } of entries) {
      // A row that is higher than the list is in view when it fills half of that.
      const fills = intersectionRect.height >= SHARE * (rootBounds?.height ?? Infinity);
      if (intersectionRatio >= SHARE || fills) this.#inView.add(idOf(target));
      else this.#inView.delete(idOf(target));
    }
    this.report();
  }
}

/** @param {Element} row */
function idOf(row) {
  return Number(row.getAttribute("data-id"));
}
