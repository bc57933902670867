/** @type {ProxyHandler<Document>} */
const handler = {
  get(page, name) {
    const value = Reflect.get(Document.prototype, name, page);
    return value?.bind?.(page) ?? value;
  },
  set: (page, name, value) => Reflect.set(Document.prototype, name, value, page),
};

/**
 * The document with its own members alone. In a page with `<img name="cookie">`,
 * `document.cookie` is that image, and so it is with any other name. The build
 * puts this in the place of the global `document` in every module.
 */
const safe = new Proxy(globalThis.document, handler);

export { safe as document };
