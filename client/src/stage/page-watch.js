import { Emitter, listen } from "../platform/emitter.js";

/**
 * Watches the page that the toasts lie on: whether the user looks at it,
 * whether they leave it or come back, and whether they press F6.
 *
 * Events: `attention` ({hidden, blurred}; also once at the start), `leave`,
 * `return`, `call` (the press of F6; a listener that acts on it prevents its
 * default).
 */
export class PageWatch extends Emitter {
  /** @param {AbortSignal} signal */
  start(signal) {
    const look = () => this._emit("attention", { hidden: document.hidden, blurred: !document.hasFocus() });
    listen(document, "visibilitychange", look, signal);
    listen(window, "focus", look, signal);
    // The focus may only have moved into a frame of this page, and hasFocus() knows that once it has arrived there.
    listen(window, "blur", () => setTimeout(() => signal.aborted || look()), signal);
    const leave = () => this._emit("leave");
    listen(window, "pagehide", leave, signal);
    // A frozen tab cannot answer the server.
    listen(document, "freeze", leave, signal);
    listen(document, "resume", () => this._emit("return"), signal);
    listen(window, "pageshow", ({ persisted }) => persisted && this._emit("return"), signal);
    const press = (/** @type {KeyboardEvent} */ event) => {
      if (event.key === "F6" && !event.ctrlKey && !event.altKey && !event.metaKey) this._emit("call", event);
    };
    listen(document, "keydown", press, signal);
    look();
  }
}
