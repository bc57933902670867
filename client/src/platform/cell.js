/**
 * One value in a storage of the browser, which may be full or forbidden: then
 * nothing is kept, and nothing read.
 */
export class Cell {
  /**
   * @param {"localStorage" | "sessionStorage"} area  asked for by its name each time, because that may throw
   * @param {string} key
   */
  constructor(area, key) {
    this.area = area;
    this.key = key;
  }

  /** @returns {any}  null: there is none, or none that can be read */
  read() {
    try {
      return JSON.parse(globalThis[this.area].getItem(this.key) ?? "null");
    } catch {
      return null;
    }
  }

  /** @param {unknown} value  null takes it away */
  write(value) {
    try {
      // A stale value would be worse than none, so what is full has none.
      globalThis[this.area].removeItem(this.key);
      if (value !== null) globalThis[this.area].setItem(this.key, JSON.stringify(value));
    } catch {
      // Forbidden: then nothing was kept either.
    }
  }
}
