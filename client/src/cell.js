/**
 * One value in a storage of the browser, which may be full or forbidden: then
 * nothing is kept, and nothing read.
 */
export class Cell {
  /**
   * @param {() => Storage} storage  a function, because asking may throw
   * @param {string} key
   */
  constructor(storage, key) {
    this.storage = storage;
    this.key = key;
  }

  /** @returns {any}  null: there is none, or none that can be read */
  read() {
    try {
      return JSON.parse(this.storage().getItem(this.key) ?? "null");
    } catch {
      return null;
    }
  }

  /** @param {unknown} value  null takes it away */
  write(value) {
    try {
      // A stale value would be worse than none, so what is full has none.
      this.storage().removeItem(this.key);
      if (value !== null) this.storage().setItem(this.key, JSON.stringify(value));
    } catch {
      // Forbidden: then nothing was kept either.
    }
  }
}
