import { Emitter } from "./emitter.js";

/**
 * Watches what becomes of the page that the toasts lie on: whether anybody
 * looks at it, whether it is left or comes back, and who asks for the toasts.
 *
 * Events: `attention` ({hidden, blurred}; also once at the start), `leave`,
 * `return`, `call` (F6; cancel it where it is answered).
 */
export class PageWatch extends Emitter {
  /**
   * @param {object} options
   * @param {EventTarget} options.window
   * @param {EventTarget & {hasFocus: () => boolean, hidden: boolean}} options.document
   */
  constructor({ window, document }) {
    super();
    this.window = window;
    this.document = document;
  }

  /** @param {AbortSignal} signal */
  start(signal) {
    const { window, document } = this;
    const look = () => this.#look();
    document.addEventListener("visibilitychange", look, { signal });
    window.addEventListener("focus", look, { signal });
    // The focus may only have gone to a frame in this page; ask when it is there.
    window.addEventListener("blur", () => setTimeout(() => signal.aborted || look()), { signal });
    const leave = () => this.emit("leave");
    window.addEventListener("pagehide", leave, { signal });
    // A frozen tab answers nobody.
    document.addEventListener("freeze", leave, { signal });
    document.addEventListener("resume", () => this.emit("return"), { signal });
    window.addEventListener("pageshow", (event) => this.#show(/** @type {PageTransitionEvent} */ (event)), { signal });
    document.addEventListener("keydown", (event) => this.#press(/** @type {KeyboardEvent} */ (event)), { signal });
    look();
  }

  #look() {
    this.emit("attention", { hidden: this.document.hidden, blurred: !this.document.hasFocus() });
  }

  /** @param {PageTransitionEvent} event */
  #show({ persisted }) {
    if (persisted) this.emit("return");
  }

  /** @param {KeyboardEvent} event */
  #press(event) {
    if (event.key !== "F6" || event.ctrlKey || event.altKey || event.metaKey) return;
    const answered = !this.dispatchEvent(new Event("call", { cancelable: true }));
    if (answered) event.preventDefault();
  }
}
