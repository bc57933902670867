/**
 * Listen to several types of events, until the signal is aborted.
 * @param {EventTarget} target
 * @param {string} types  separated by spaces
 * @param {(event: any) => void} listener
 * @param {AbortSignal} [signal]
 */
export function listen(target, types, listener, signal) {
  for (const type of types.split(" ")) target.addEventListener(type, listener, { signal });
}

/**
 * An EventTarget whose events carry a detail.
 * @template {Record<string, any>} [Events=Record<string, any>]  the details by name
 */
export class Emitter extends EventTarget {
  /**
   * Listen to one type of event, until the signal is aborted. Returns a function that removes the listener.
   * @template {keyof Events & string} Name
   * @param {Name} name
   * @param {(detail: Events[Name]) => void} listener
   * @param {AbortSignal} [signal]
   * @returns {() => void}
   */
  on(name, listener, signal) {
    const receive = (/** @type {Event} */ event) => listener(/** @type {CustomEvent} */ (event).detail);
    listen(this, name, receive, signal);
    return () => this.removeEventListener(name, receive);
  }

  /**
   * @protected
   * @template {keyof Events & string} Name
   * @param {Name} name
   * @param {Events[Name]} [detail]
   */
  _emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
