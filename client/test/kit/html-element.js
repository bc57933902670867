/** The modules of our elements need the base of all elements, which Node lacks. */
globalThis.HTMLElement ??= /** @type {any} */ (class {});
