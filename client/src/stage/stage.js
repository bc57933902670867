import { Announcer, spoken } from "../speech/announcer.js";
import { Duck } from "./ducking.js";
import { listen } from "../platform/emitter.js";
import { SeenWatch } from "../mailbox/seen.js";
import { Speaker } from "../speech/active-tab.js";
import { FAREWELL, ToastList } from "../toasts/toast-list.js";
import { TopLayer } from "./top-layer.js";

/** @import { Labels } from "../platform/labels.js" */
/** @import { Toast, Toasts } from "../toasts/toasts.js" */

/**
 * Where the toasts appear: drawn as a list, above all else but out of the way
 * of whoever types, said to screen readers, and watched until they are seen.
 */
export class Stage {
  /**
   * @param {object} options
   * @param {HTMLElement} options.host
   * @param {Toasts} options.toasts
   * @param {() => Labels} options.labels
   * @param {(home: Element) => void} options.move  take the host to where it can be seen
   */
  constructor({ host, toasts, labels, move }) {
    this.host = host;
    this.toasts = toasts;
    this.labels = labels;
    this.announcer = new Announcer();
    this.list = new ToastList({ toasts, labels });
    this.duck = new Duck(this.list);
    this.seen = new SeenWatch();
    this.topLayer = new TopLayer({ host, region: this.list.region, move });
    this.speaker = new Speaker();
  }

  /** Fill the host with what is there before the first toast. */
  build() {
    this.list.region.setAttribute("aria-label", this.labels().notifications);
    this.host.replaceChildren(this.announcer.polite, this.announcer.assertive, this.list.region);
  }

  /** @param {AbortSignal} signal */
  start(signal) {
    this.toasts.on("change", () => this.#draw(), signal);
    this.speaker.start(signal);
    this.topLayer.start(signal);
    this.duck.start(signal);
    listen(signal, "abort", () => this.seen.stop());
  }

  /** The tab may have been hidden, or be visible again. */
  look() {
    this.seen.look(this.toasts.visible().map(({ notification }) => notification));
  }

  /** Go to the toasts, or back to where the reader was. */
  toggleFocus() {
    if (this.list.focused) this.list.leave();
    else this.list.focus();
  }

  #draw() {
    const visible = this.toasts.visible();
    if (visible.length > 0) this.topLayer.show(true);
    else setTimeout(() => this.topLayer.show(this.toasts.size > 0), FAREWELL);
    this.list.draw();
    this.duck.look();
    this.look();
    this.#announce(visible);
  }

  /** @param {Toast[]} toasts */
  #announce(toasts) {
    const speaks = this.speaker.speaks();
    // The oldest first: as they came.
    for (const toast of toasts.toReversed()) {
      if (toast.announced) continue;
      toast.announced = true;
      const { notification } = toast;
      if (speaks) this.announcer.say(spoken(notification, this.labels()), { urgent: notification.level === "error" });
    }
  }
}
