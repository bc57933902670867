/**
 * Hear several kinds of events, until the signal says that it is enough.
 * @param {EventTarget} target
 * @param {string} types  with spaces between them
 * @param {(event: any) => void} listener
 * @param {AbortSignal} [signal]
 */
export function listen(target, types, listener, signal) {
  for (const type of types.split(" ")) target.addEventListener(type, listener, { signal });
}

/**
 * An EventTarget whose events have a detail.
 * @template {Record<string, any>} [Events=Record<string, any>]  the details by name
 */
export class Emitter extends EventTarget {
  /**
   * Hear of one kind of event, until the signal ends; the answer takes the listener away as well.
   * @template {keyof Events & string} Name
   * @param {Name} name
   * @param {(detail: Events[Name]) => void} listener
   * @param {AbortSignal} [signal]
   * @returns {() => void}
   */
  on(name, listener, signal) {
    const hear = (/** @type {Event} */ event) => listener(/** @type {CustomEvent} */ (event).detail);
    listen(this, name, hear, signal);
    return () => this.removeEventListener(name, hear);
  }

  /**
   * @protected
   * @internal
   * @template {keyof Events & string} Name
   * @param {Name} name
   * @param {Events[Name]} [detail]
   */
  emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
