import { Client } from "../mailbox/client.js";
import { define, dress } from "../platform/dom.js";
import { listen } from "../platform/emitter.js";
import { labelsOf } from "../platform/labels.js";
import { runs } from "../protocol.js";
import { PageWatch } from "../stage/page-watch.js";
import { Stage } from "../stage/stage.js";
import { Keeper } from "../toasts/keeper.js";
import { ToastSync } from "../toasts/toast-sync.js";
import { Toasts } from "../toasts/toasts.js";

/** @import { Notification } from "../protocol.js" */
/** @import { Decoration } from "../toasts/more.js" */

/** How many toasts are on screen at once. A phone has room for one. */
const ROOM = { wide: 3, narrow: 1 };
const NARROW = "(max-width: 479px)";

/** The attributes that the template tag writes on each page. One that a newer page leaves out is removed. */
const RENEWED = ["csrf-token", "csrf-cookie", "csrf-header", "labels", "position"];

/** The events of the client that are dispatched as DOM events as well, `notify:…`. */
const FORWARDED = /** @type {const} */ ([
  ...["state", "counts", "error", "reset", "change"],
  ...["connecting", "connect", "connect_error", "disconnect", "reconnect_attempt", "reconnect", "transport"],
]);

const PLACE = "notify-place";

/** The root that is running in this document. @type {NotifyRoot | null} */
let current = null;

/**
 * `<notify-root src="/notify/" transports="websocket poll" user="…">`: opens
 * when it is connected, closes when it is removed, and shows its `state`,
 * `transport` and `cursor` as attributes. It lives beside <body>, where swaps
 * of the body and inert pages do not reach it.
 */
export class NotifyRoot extends HTMLElement {
  /** @type {Client | null} */
  client = null;
  /** @type {Keeper | null} */
  #keeper = null;
  /** @type {AbortController | null} */
  #running = null;
  /** Where it lives: <html>, or a modal. @type {Element} */
  #home = document.documentElement;
  #moving = false;

  #narrow = matchMedia(NARROW);
  /** @type {Toasts} */
  #toasts = new Toasts({ _limit: () => (this.#narrow.matches ? ROOM.narrow : ROOM.wide), _holds: (id) => this.#stage.list._holds(id) });
  /** @type {Stage} */
  #stage = new Stage({ host: this, toasts: this.#toasts, labels: () => labelsOf(this), move: (home) => this.#move(home) });

  get counts() {
    return this.client?.counts ?? null;
  }

  get state() {
    return this.client?.state ?? "closed";
  }

  connectedCallback() {
    if (this.#moving || this.#running || !this.isConnected || isFramed(() => this.connectedCallback())) return;
    // It would be sent the CSRF token, and its toasts would look like those of this site.
    if (this.#src.origin !== origin) {
      this.remove();
      throw new Error(`notify: ${this.#src} is another site`);
    }
    const rival = current;
    if (rival?.isConnected) {
      // One that was closed for good belongs to a user who has signed out.
      if (rival.getAttribute("user") === this.getAttribute("user") && rival.state !== "closed") {
        rival._renew(this);
        this.replaceWith(place());
        return;
      }
      rival._stop();
      rival.remove();
    }
    current = this;
    const { documentElement } = document;
    if (this.parentElement !== documentElement) {
      this.before(place());
      this.#move(documentElement);
    }
    this.#start();
  }

  /** Because this exists, the browser does not call the two other callbacks when the element is moved. */
  connectedMoveCallback() {}

  disconnectedCallback() {
    if (this.#moving) return;
    // In a microtask, because the script that removes it may be about to insert it elsewhere.
    queueMicrotask(() => {
      if (this.isConnected || !this.#running) return;
      if (this.#home.isConnected) this._stop();
      else this.#stage._rehome();
    });
  }

  /**
   * Show a toast that no server knows.
   * @param {Notification} notification  with an id below 0, or one whose toast was held back
   * @param {boolean} [quiet]  whether it is neither announced nor animated
   */
  show(notification, quiet) {
    this.#toasts.show(notification, quiet);
  }

  /**
   * Close a toast without marking its notification.
   * @param {number} id
   */
  hide(id) {
    this.#toasts.close(id, "elsewhere");
  }

  /**
   * Let another script add to the toasts, now and whenever they are drawn. Returns a function that repeats it.
   * @param {Decoration} draw
   */
  decorate(draw) {
    return this.#stage.list.decorate(draw);
  }

  /**
   * Announce a text to screen readers, if this is the tab in which that is done.
   * @param {string} text
   */
  announce(text) {
    this.#stage.announce(text);
  }

  /**
   * Take over the attributes of a newer page of the same user.
   * @param {Element} newer
   */
  _renew(newer) {
    for (const name of RENEWED) {
      const value = newer.getAttribute(name);
      if (value !== null) this.setAttribute(name, value);
      // The position is kept, because the first page or a script may have set it.
      else if (name !== "position") this.removeAttribute(name);
    }
  }

  /** The body was replaced by one without a root: the page of nobody, or one that shows no toasts. */
  _leave() {
    this.client?.close();
    this.client?._end();
  }

  _stop() {
    this.#running?.abort();
    this.#running = null;
    this.#toasts.stop();
    this.client?._stop();
    this.#reflect();
    if (current === this) current = null;
  }

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
    // Beside <body> nothing is inherited from it.
    const { documentElement, body } = document;
    this.dir = documentElement.dir || body.dir;
    this.lang = documentElement.lang || body.lang;

    const [toasts, { list }] = [this.#toasts, this.#stage];
    const client = (this.client = this.#makeClient());
    const keeper = (this.#keeper = new Keeper({ user: this.#read("user"), site: this.#read("src"), client, toasts, signal }));
    if (keeper._restore()) this.#reflect();
    toasts.on("change", () => keeper._saveSoon(), signal);
    new ToastSync({ client, toasts, list }).start(signal);
    this.#listenToClient(client, keeper);
    this.#watchPage(client, keeper, signal);
    this.#stage.start(signal);
    toasts._refit();
    client.open();
  }

  /** The address of notify's urls. A <base> may lead to another site, so the document's own address counts. */
  get #src() {
    return new URL(this.#read("src", "/notify/"), location.href);
  }

  /**
   * An attribute, or what stands in for it.
   * @param {string} name
   */
  #read(name, missing = "") {
    return this.getAttribute(name) ?? missing;
  }

  #makeClient() {
    return new Client({
      src: this.#src.href,
      transports: this.#read("transports", "websocket poll").split(/\s+/),
      user: this.#read("user"),
      share: this.getAttribute("share"),
      pollInterval: Number(this.getAttribute("poll-interval")),
      csrf: () => ({
        cookie: this.#read("csrf-cookie", "csrftoken"),
        header: this.#read("csrf-header", "X-CSRFToken"),
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
    for (const name of FORWARDED) client.on(name, (detail) => this.#dispatch(name, detail && { ...detail }));
    client.on("cursor", () => this.#reflect());
    client.on("end", () => keeper._forget());
    client.on("notification", ({ notification }) => {
      if (!this.#dispatch("notification", { notification }) || notification.toast === false) return;
      // Before its first cursor a tab finds tasks that began earlier and were announced elsewhere.
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
      this.#toasts._pause("hidden", hidden);
      this.#toasts._pause("blur", blurred);
    });
    page.on("leave", () => {
      keeper._save();
      client._commands._resend(true);
      // An open socket would keep the page out of the back/forward cache.
      client.close();
    });
    page.on("return", () => {
      // Later pages of this tab have gone on from where this one stopped.
      if (keeper._restore()) this.#reflect();
      client.open();
    });
    page.on("call", (event) => {
      if (this.#toasts.size === 0) return;
      event.preventDefault();
      this.#stage._toggleFocus();
    });
    listen(this.#narrow, "change", () => this.#toasts._refit(), signal);
    page.start(signal);
  }

  /** Show the state of the client as attributes. */
  #reflect() {
    const attributes = { state: this.state, transport: this.client?.transport, cursor: this.client?.store.cursor };
    for (const [name, value] of Object.entries(attributes)) {
      if (value) this.setAttribute(name, value);
      else this.removeAttribute(name);
    }
    this.#keeper?._saveSoon();
  }

  /**
   * Dispatch a DOM event. Returns false if it was cancelled.
   * @param {string} name
   * @param {unknown} [detail]
   */
  #dispatch(name, detail) {
    return this.dispatchEvent(new CustomEvent(`notify:${name}`, { detail, bubbles: true, cancelable: name === "notification" }));
  }
}

/** Stands in <body> where a root was, and so notices when that body is replaced. */
class Place extends HTMLElement {
  disconnectedCallback() {
    // In a microtask, because the new body follows within this task.
    queueMicrotask(() => document.querySelector(PLACE) ?? current?._leave());
  }
}

function place() {
  return dress(document.createElement(PLACE), { hidden: "" });
}

/**
 * Returns true if this document is a frame in a page of this site, which shows the toasts of both.
 * @param {() => void} again  called once that page is complete, if it is not yet known what it has
 */
function isFramed(again) {
  try {
    if (top === window) return false;
    const page = /** @type {Window} */ (top).document;
    if (page.readyState === "complete") return page.querySelector("notify-root") !== null;
    listen(/** @type {Window} */ (top), "load", again);
    return true;
  } catch {
    // The page around it belongs to another site.
    return false;
  }
}

export function defineRoot() {
  define(PLACE, Place);
  define("notify-root", NotifyRoot);
}
