/** Browsers have always had CustomEvent, Node has it from version 19 on. */
globalThis.CustomEvent ??= /** @type {any} */ (
  class CustomEvent extends Event {
    /** @param {string} type @param {{detail?: unknown}} [options] */
    constructor(type, { detail = null, ...options } = {}) {
      super(type, options);
      this.detail = detail;
    }
  }
);
