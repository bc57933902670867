import { Client } from "../mailbox/client.js";
import { listen } from "../platform/emitter.js";
import { Keeper } from "../toasts/keeper.js";
import { readLabels } from "../platform/labels.js";
import { PageWatch } from "../stage/page-watch.js";
import { runs } from "../protocol.js";
import { Stage } from "../stage/stage.js";
import { ToastSync } from "../toasts/toast-sync.js";
import { Toasts } from "../toasts/toasts.js";

/** @import { Labels } from "../platform/labels.js" */
/** @import { Notification } from "../protocol.js" */

/** Toasts on screen at once; a phone has room for one. */
const ROOM = { wide: 3, narrow: 1 };
const NARROW = "(max-width: 479px)";

/** What the template tag writes on each page: left out, it no longer holds. */
const RENEWED = ["csrf-token", "csrf-cookie", "csrf-header", "labels", "position"];

/** The client's events that are DOM events as well, `notify:…`. */
const TOLD = /** @type {const} */ ([
  ...["state", "counts", "error", "reset", "change"],
  ...["connecting", "connect", "connect_error", "disconnect", "reconnect_attempt", "reconnect", "transport"],
]);

/** The one root at work in this document. @type {any} */
let current = null;

/**
 * `<notify-root src="/notify/" transports="websocket poll" user="…">`: opens
 * when connected, closes when removed, and shows its `state`, `transport` and
 * `cursor` as attributes. It lives beside <body>, where body swaps and inert
 * pages do not reach it.
 */
export function defineRoot() {
  if (customElements.get("notify-root")) return;
  customElements.define("notify-root", NotifyRoot());
}

/** A function, because HTMLElement is missing where tests import this. */
function NotifyRoot() {
  return class NotifyRoot extends HTMLElement {
    /** @type {Client | null} */
    client = null;
    /** @type {Keeper | null} */
    #keeper = null;
    /** @type {AbortController | null} */
    #running = null;
    #moving = false;
    /** @type {Labels} */
    #labels = readLabels(null);

    /** @type {Toasts} */
    #toasts = new Toasts({ limit: () => (this.#narrow.matches ? ROOM.narrow : ROOM.wide), holds: (id) => this.#stage.list.holds(id) });
    #narrow = matchMedia(NARROW);
    /** @type {Stage} */
    #stage = new Stage({ host: this, toasts: this.#toasts, labels: () => this.#labels, move: (home) => this.#move(home) });

    get counts() {
      return this.client?.counts ?? null;
    }

    get state() {
      return this.client?.state ?? "closed";
    }

    connectedCallback() {
      if (this.#moving || this.#running) return;
      const rival = current;
      if (rival && rival.isConnected) {
        if (rival.getAttribute("user") === this.getAttribute("user")) {
          rival.renew(this);
          this.remove();
          return;
        }
        rival.stop();
        rival.remove();
      }
      current = this;
      const { documentElement } = document;
      if (this.parentElement !== documentElement) this.#move(documentElement);
      this.#start();
    }

    /** Being moved is not being removed; that this exists tells the browser. */
    connectedMoveCallback() {}

    disconnectedCallback() {
      if (this.#moving) return;
      // Whoever takes it out may be about to put it in elsewhere.
      queueMicrotask(() => {
        if (this.isConnected || !this.#running) return;
        if (this.#home.isConnected) this.stop();
        else this.#stage.topLayer.rehome();
      });
    }

    /**
     * Take over what a newer page says of the same user.
     * @param {Element} newer
     */
    renew(newer) {
      for (const name of RENEWED) {
        const value = newer.getAttribute(name);
        if (value !== null) this.setAttribute(name, value);
        // A page or a script may have added that one.
        else if (name !== "position") this.removeAttribute(name);
      }
      this.#labels = readLabels(this.getAttribute("labels"));
      // Signed out and in again, without a page of its own.
      this.client?.open();
    }

    /**
     * Show a toast of this page's own.
     * @param {Notification} notification  with an id below 0
     */
    show(notification) {
      this.#toasts.show(notification);
    }

    stop() {
      this.#running?.abort();
      this.#running = null;
      this.#toasts.stop();
      this.client?.close();
      this.client?.commands.close();
      this.client?.store.close();
      this.#reflect();
      if (current === this) current = null;
    }

    /** Where it lives: <html>, or a modal. @type {Element} */
    #home = document.documentElement;

    /** @param {Element} home */
    #move(home) {
      this.#home = home;
      this.#moving = true;
      try {
        /** @type {any} */ (home).moveBefore(this, null);
      } catch {
        home.append(this);
      }
      this.#moving = false;
    }

    #start() {
      this.#running = new AbortController();
      const { signal } = this.#running;
      this.#labels = readLabels(this.getAttribute("labels"));
      this.#stage.build();
      this.#speakTheLanguage();

      const client = (this.client = this.#makeClient());
      const user = this.getAttribute("user") ?? "";
      const keeper = (this.#keeper = new Keeper({ user, client, toasts: this.#toasts, signal }));
      if (keeper.restore()) this.#reflect();
      this.#toasts.on("change", () => keeper.saveSoon(), signal);
      new ToastSync({ client, list: this.#stage.list, seen: this.#stage.seen }).start(signal);
      this.#listenToClient(client, keeper);
      this.#watchPage(client, keeper, signal);
      this.#stage.start(signal);
      this.#toasts.refit();
      client.open();
    }

    #makeClient() {
      return new Client({
        src: new URL(this.getAttribute("src") ?? "/notify/", document.baseURI).href,
        transports: (this.getAttribute("transports") ?? "websocket poll").split(/\s+/),
        user: this.getAttribute("user") ?? "",
        share: this.getAttribute("share"),
        pollInterval: Number(this.getAttribute("poll-interval")) || 5,
        csrf: () => ({
          cookie: this.getAttribute("csrf-cookie") ?? "csrftoken",
          header: this.getAttribute("csrf-header") ?? "X-CSRFToken",
          token: this.getAttribute("csrf-token"),
        }),
        window,
        document,
      });
    }

    /**
     * @param {Client} client
     * @param {Keeper} keeper
     */
    #listenToClient(client, keeper) {
      client.on("state", () => this.#reflect());
      for (const name of TOLD) client.on(name, (detail) => this.#tell(name, detail && { ...detail }));
      client.on("cursor", () => this.#reflect());
      client.on("end", () => keeper.forget());
      client.on("notification", ({ notification }) => {
        if (!this.#tell("notification", { notification })) return;
        // Before its first cursor this tab finds tasks that were told of elsewhere, and have come some way since.
        const isKnown = !this.hasAttribute("cursor") && runs(notification) && notification.position > notification.arrived;
        this.#toasts.show(notification, isKnown);
      });
    }

    /**
     * @param {Client} client
     * @param {Keeper} keeper
     * @param {AbortSignal} signal
     */
    #watchPage(client, keeper, signal) {
      const page = new PageWatch();
      page.on("attention", ({ hidden, blurred }) => {
        this.#toasts.pause("hidden", hidden);
        this.#toasts.pause("blur", blurred);
        this.#stage.look();
      });
      page.on("leave", () => {
        keeper.save();
        client.commands.resend({ leaving: true });
        // An open socket would keep the page out of the back/forward cache.
        client.close();
      });
      page.on("return", () => {
        // Pages after this one went on from where it stopped.
        if (keeper.restore()) this.#reflect();
        client.open();
      });
      page.on("call", (event) => {
        if (this.#toasts.size === 0) return;
        event.preventDefault();
        this.#stage.toggleFocus();
      });
      listen(this.#narrow, "change", () => this.#toasts.refit(), signal);
      page.start(signal);
    }

    #reflect() {
      const attributes = { state: this.state, transport: this.client?.transport, cursor: this.client?.store.cursor };
      for (const [name, value] of Object.entries(attributes)) {
        if (value) this.setAttribute(name, value);
        else this.removeAttribute(name);
      }
      if (this.#running) this.#keeper?.saveSoon();
    }

    /** Beside <body> nothing is inherited from it. */
    #speakTheLanguage() {
      const { documentElement, body } = document;
      this.dir = documentElement.dir || body.dir;
      this.lang = documentElement.lang || body.lang;
    }

    /**
     * @param {string} name
     * @param {unknown} [detail]
     */
    #tell(name, detail) {
      return this.dispatchEvent(new CustomEvent(`notify:${name}`, { detail, bubbles: true, cancelable: name === "notification" }));
    }
  };
}
