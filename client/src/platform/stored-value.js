/**
 * One value in a storage of the browser. Where the storage is full or forbidden
 * nothing is kept, and `read()` returns null.
 */
export class StoredValue {
  #area;
  #key;

  /**
   * @param {"localStorage" | "sessionStorage"} area  its name, because reading the global itself may throw
   * @param {string} key
   */
  constructor(area, key) {
    this.#area = area;
    this.#key = key;
  }

  /** @returns {any}  null if nothing is stored, or nothing that can be read */
  read() {
    try {
      return JSON.parse(globalThis[this.#area].getItem(this.#key) ?? "null");
    } catch {
      return null;
    }
  }

  /** @param {unknown} value  null removes it */
  write(value) {
    try {
      // Removed first: a full storage would refuse the new value and keep the stale one, which is worse than none.
      globalThis[this.#area].removeItem(this.#key);
      if (value !== null) globalThis[this.#area].setItem(this.#key, JSON.stringify(value));
    } catch {
      // The storage is forbidden, so it holds no stale value either.
    }
  }
}
