/**
 * Set attributes of a node and append its content. Text is inserted as text,
 * never as markup.
 * @template {Element} T
 * @param {T} node
 * @param {Record<string, string | number>} attributes
 * @param {(Node | string)[]} content
 */
export function dress(node, attributes, ...content) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, /** @type {string} */ (value));
  node.append(...content);
  return node;
}

/**
 * Create an element.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} name  its class
 * @param {Record<string, string | number>} [attributes]
 * @param {(Node | string)[]} content
 */
export function element(tag, name, attributes, ...content) {
  return dress(document.createElement(tag), { class: name, ...attributes }, ...content);
}

/**
 * Define a custom element, unless the script was loaded before.
 * @param {string} name
 * @param {CustomElementConstructor} constructor
 */
export function define(name, constructor) {
  if (!customElements.get(name)) customElements.define(name, constructor);
}
