import { Emitter, listen } from "../platform/emitter.js";

/**
 * Watches what becomes of the page that the toasts lie on: whether anybody
 * looks at it, whether it is left or comes back, and who asks for the toasts.
 *
 * Events: `attention` ({hidden, blurred}; also once at the start), `leave`,
 * `return`, `call` (the press of F6; whoever answers it prevents its default).
 */
export class PageWatch extends Emitter {
  /** @param {AbortSignal} signal */
  start(signal) {
    const look = () => this.emit("attention", { hidden: document.hidden, blurred: !document.hasFocus() });
    listen(document, "visibilitychange", look, signal);
    listen(window, "focus", look, signal);
    // The focus may only have gone to a frame in this page; ask when it is there.
    listen(window, "blur", () => setTimeout(() => signal.aborted || look()), signal);
    const leave = () => this.emit("leave");
    listen(window, "pagehide", leave, signal);
    // A frozen tab answers nobody.
    listen(document, "freeze", leave, signal);
    listen(document, "resume", () => this.emit("return"), signal);
    listen(window, "pageshow", ({ persisted }) => persisted && this.emit("return"), signal);
    listen(document, "keydown", (event) => this.#press(event), signal);
    look();
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    if (event.key === "F6" && !event.ctrlKey && !event.altKey && !event.metaKey) this.emit("call", event);
  }
}
