import { runs } from "../protocol.js";
import { ActiveTab } from "../speech/active-tab.js";
import { announcement, Announcer, summary } from "../speech/announcer.js";
import { FAREWELL, ToastList } from "../toasts/toast-list.js";
import { Ducking } from "./ducking.js";
import { TopLayer } from "./top-layer.js";

/** @import { Options } from "../toasts/more.js" */
/** @import { Toast } from "../toasts/toasts.js" */

/** More notifications at once are announced in one sentence. */
const MOST = 3;

/**
 * Puts the toasts on the page: drawn as a list, above everything else but out
 * of the way of a user who works underneath, and announced to screen readers.
 */
export class Stage {
  #announcer = new Announcer();
  #activeTab = new ActiveTab();
  #ducking;
  #topLayer;
  #options;

  /** @param {Options & {host: HTMLElement, move: (home: Element) => void}} options  move: takes the host to where it can be seen */
  constructor(options) {
    this.#options = options;
    this.list = new ToastList(options);
    this.#ducking = new Ducking(this.list);
    this.#topLayer = new TopLayer({ ...options, _region: this.list._region });
  }

  /**
   * Fill the host with the live regions and the empty list, which have to be there before the first toast.
   * @param {AbortSignal} signal
   */
  start(signal) {
    const { host, labels, toasts } = this.#options;
    this.list._region.setAttribute("aria-label", labels().notifications);
    host.replaceChildren(this.#announcer._polite, this.#announcer._assertive, this.list._region);
    toasts.on("change", () => this.#draw(), signal);
    this.#activeTab.start(signal);
    this.#topLayer.start(signal);
    this.#ducking.start(signal);
  }

  /** Move the focus to the toasts, or back to where it was. */
  _toggleFocus() {
    if (this.list._focused) this.list.leave();
    else this.list.focus();
  }

  /** Move the host, because its home was removed from the document. */
  _rehome() {
    this.#topLayer._rehome();
  }

  /**
   * Announce a text to screen readers, if this is the active tab.
   * @param {string} text
   * @param {boolean} [urgent]
   */
  announce(text, urgent) {
    if (this.#activeTab._isActive) this.#announcer.announce(text, urgent);
  }

  #draw() {
    const { toasts } = this.#options;
    if (toasts.visible().length > 0) this.#topLayer.show(true);
    else setTimeout(() => this.#topLayer.show(toasts.size > 0), FAREWELL);
    this.list.draw();
    this.#ducking.look();
    // In a microtask, so that the notifications of one document are announced together.
    queueMicrotask(() => this.#announceNew());
  }

  #announceNew() {
    const { toasts, labels } = this.#options;
    // A seen one was announced before, maybe in another tab. Tasks behind "N more" are announced by the script of tasks.
    const unheard = toasts.all().filter(({ announced, visible, notification }) => {
      return !announced && (visible || !runs(notification)) && !(notification.id > 0 && notification.seen_at);
    });
    const isLot = unheard.length > MOST;
    const heard = isLot ? unheard : unheard.filter(({ visible }) => visible);
    for (const toast of heard) toast.announced = true;
    const isUrgent = (/** @type {Toast} */ { notification }) => notification.level === "error";
    if (isLot) this.announce(summary(heard.length, labels()), heard.some(isUrgent));
    // In the order in which they arrived: the oldest first.
    else for (const toast of heard.reverse()) this.announce(announcement(toast.notification, labels()), isUrgent(toast));
  }
}
