import { Commands } from "./commands.js";
import { Connection } from "../link/connection.js";
import { Emitter } from "../platform/emitter.js";
import { tellLife } from "../link/lifecycle.js";
import { Network } from "../link/network.js";
import { compare, reasonOf } from "../protocol.js";
import { Store } from "./store.js";
import { Tabs } from "../link/tabs.js";
import { PollTransport } from "../link/transports/poll.js";
import { PushTransport } from "../link/transports/push.js";
import { SharedTransport } from "../link/transports/shared.js";

/**
 * @import { Rung, State } from "../link/connection.js"
 * @import { Csrf } from "./commands.js"
 * @import { LifeEvents } from "../link/lifecycle.js"
 * @import { Changes, Command, Counts, Cursor, Document, Mark, Notification, Shown } from "../protocol.js"
 * @import { Kind } from "../link/transports/shared.js"
 * @import { Transport } from "../link/transports/transport.js"
 *
 * @typedef {object} MailboxEvents
 * @property {{notification: Notification}} notification  new content
 * @property {{notification: Notification, previous: Notification | null, refused?: boolean}} change
 * @property {Counts | null} counts
 * @property {null} reset  the tab starts over from a snapshot
 * @property {{state: State, transport: string}} state
 * @property {Cursor} cursor
 * @property {{code: string, message: string}} error
 * @property {{ticks: import("../progress/ticks.js").Tick[]}} tick  how far tasks are, between two changes of their rows
 * @property {null} end  closed for good
 *
 * @typedef {MailboxEvents & LifeEvents} Events
 *
 * @typedef {object} Options
 * @property {string} src  absolute address of notify's urls
 * @property {string[]} transports  best first
 * @property {() => Csrf} csrf
 * @property {string} [user]  whose tabs share what; without it this one is alone, and holds no HTTP request open
 * @property {string | null} [share]  "websocket": this one too, and not HTTP alone
 * @property {number} [pollInterval]  seconds
 * @property {EventTarget} window
 * @property {EventTarget & {hidden?: boolean, cookie: string}} document
 */

/** A question over the socket that nobody answers may be asked again. */
const PATIENCE = 10_000;

/**
 * A mailbox in this tab: connection, store and commands put together, and no
 * DOM. `<notify-root>` draws what it says.
 *
 *     client.on("notification", ({ notification }) => console.log(notification.message));
 *
 * @extends {Emitter<Events>}
 */
export class Client extends Emitter {
  store = new Store();
  /** @internal @type {Tabs} */
  tabs;
  /** @internal @type {Connection} */
  connection;
  /** @internal @type {Commands} */
  commands;
  /** Tells the marks of this tab from those of others. */
  #id = Math.random().toString(36).slice(2);
  #life;
  /** The cursor from which the open question asks, and when it was put. */
  #question = { open: false, since: /** @type {Cursor} */ (null), at: 0, again: false };

  /** @param {Options} options */
  constructor({ src, transports, csrf, user, share, pollInterval, window, document }) {
    super();
    // Here it is the caller who learns that an address is none.
    src = new URL(src).href;
    const tabs = (this.tabs = new Tabs(user));
    const cursor = () => this.store.cursor;
    const network = new Network();
    const asking = { src, cursor, document };
    /** Reads when it must. */
    const reader = () => new PollTransport({ ...asking, interval: Infinity });
    /** @type {Record<string, () => Transport>} */
    const makers = {
      websocket: () => new PushTransport({ name: "websocket", Source: globalThis.WebSocket, path: "ws/", src: src.replace("http", "ws"), cursor }),
      poll: () => new PollTransport({ ...asking, interval: pollInterval }),
      // A browser has six connections for a host: tabs that cannot meet must not keep one each.
      ...(tabs.together && {
        sse: () => new PushTransport({ name: "sse", Source: globalThis.EventSource, path: "stream/", src, cursor, reader }),
        longpoll: () => new PollTransport({ ...asking, hold: () => network.beat }),
      }),
    };
    // A name of a later release is passed over; polling is always possible.
    const known = transports.filter((name) => Object.hasOwn(makers, name));
    const names = known.length ? known : ["poll"];
    const common = names.filter((name) => tabs.together && (name !== "websocket" || share === name));
    const rungs = (/** @type {string[]} */ names) => names.map((name) => ({ names: [name], make: makers[name] }));
    /** @type {Record<Kind, Rung[]>} */
    const ladders = { best: rungs(common), read: [{ names: [], make: reader }] };
    const shared = () =>
      new SharedTransport({
        ...{ tabs, document, cursor },
        connect: (kind) => new Connection({ ladder: ladders[kind], window, document, network }),
      });
    const ladder = rungs(names.filter((name) => !common.includes(name)));
    if (common.length > 0) ladder.splice(names.indexOf(common[0]), 0, { names: common, make: shared });
    this.connection = new Connection({ ladder, window, document, network });
    this.commands = new Commands({ src, send: (command) => this.connection.send(command), csrf, document });
    this.#listen();
    this.#life = tellLife(this.connection, (name, detail) => this.emit(name, /** @type {any} */ (detail)));
  }

  get state() {
    return this.connection.state;
  }

  get transport() {
    return this.connection.transport;
  }

  get counts() {
    return this.store.counts;
  }

  open() {
    this.tabs.open();
    this.connection.open();
  }

  /** Release the socket; what the store holds stays. */
  close() {
    this.connection.close();
    this.tabs.close();
  }

  /**
   * Mark notifications as the user saw them.
   * @param {Mark} mark
   * @param {Notification[]} notifications
   * @param {{leaving?: boolean}} [options]
   */
  mark(mark, notifications, { leaving = false } = {}) {
    if (notifications.length === 0) return;
    const ids = notifications.map(pair);
    const ref = this.commands.nextRef();
    this.#show(mark, ids, ref);
    this.commands.issue({ type: mark, ids, epoch: this.#epoch(), ref }, { leaving });
  }

  /**
   * Mark everything up to what this tab surely knows. What arrives meanwhile
   * stays new.
   * @param {Mark} mark
   */
  markAll(mark) {
    const { complete } = this.store;
    const all = this.store.all();
    if (complete === null) return this.mark(mark, all);
    const epoch = this.#epoch();
    const above = all.filter((row) => compare(`${epoch}:${row.arrived}`, complete) > 0);
    const ref = this.commands.nextRef();
    this.#show(mark, all.map(pair), ref);
    const type = /** @type {Command["type"]} */ (`${mark}_all`);
    this.commands.issue({ type, cursor: complete, ids: above.map(pair), epoch, ref });
  }

  /**
   * Here and in the other tabs, before the server has answered.
   * @param {Mark} mark
   * @param {Shown[]} ids
   * @param {number} ref
   */
  #show(mark, ids, ref) {
    this.store.mark(mark, ids, ref);
    this.#tell(ref, { mark, ids, epoch: this.#epoch() });
  }

  /**
   * Tell the other tabs what becomes of a mark.
   * @param {number} ref
   * @param {object} news
   */
  #tell(ref, news) {
    this.tabs.post({ ...news, ref: `${this.#id}:${ref}` });
  }

  /** @param {any} news  of another tab's mark */
  #overhear({ ref, mark, ids, epoch, acked, refused }) {
    if (mark && epoch === this.#epoch()) this.store.mark(mark, ids, ref);
    if (acked) this.store.acknowledge(ref, acked);
    if (refused) this.store.fail(ref, true);
  }

  /** In which the rows of the store arrived. */
  #epoch() {
    return this.store.cursor?.split(":")[0];
  }

  #listen() {
    const { connection, store, commands, tabs } = this;
    tabs.on("message", (message) => this.#overhear(message));
    const tellState = () => this.emit("state", { state: this.state, transport: this.transport });
    connection.on("state", tellState);
    connection.on("rename", tellState);
    connection.on("document", (detail) => this.#hear(detail));
    connection.on("doubt", () => connection.send({ type: "ping", cursor: store.cursor }));
    connection.on("open", () => {
      commands.resend();
      // Said again, because the page may show older ones than the store knows.
      if (store.counts) this.emit("counts", store.counts);
    });
    connection.on("end", ({ code }) => {
      this.emit("error", { code: reasonOf(code), message: `Closed with ${code}` });
      tabs.close();
      this.emit("end");
    });
    store.on("reset", () => this.emit("reset"));
    store.on("counts", () => this.emit("counts", store.counts));
    store.on("cursor", () => this.emit("cursor", store.cursor));
    store.on("change", ({ notification, previous, fresh, refused }) => {
      this.emit("change", { notification, previous, refused });
      if (!fresh) return;
      this.#life.recovered += 1;
      this.emit("notification", { notification });
    });
    commands.on("ack", ({ ref, cursor }) => {
      store.acknowledge(ref, cursor);
      this.#tell(ref, { acked: cursor });
      // A poll would learn of its own mark seconds later.
      if (this.transport === "poll" && compare(cursor, store.cursor) > 0) connection.ask();
    });
    commands.on("error", ({ ref, code, message }) => {
      if (ref !== null) {
        store.fail(ref, true);
        this.#tell(ref, { refused: true });
      }
      this.emit("error", { code, message });
    });
  }

  /** @param {{document: Document, own: boolean}} detail */
  #hear({ document, own }) {
    switch (document.type) {
      case "welcome":
        this.#question.open = false;
        return this.#take(document.changes, own, false);
      case "changes":
        return this.#take(document, own, own);
      case "ping":
        this.connection.send({ type: "pong", cursor: this.store.cursor, ref: document.ref });
        return this.#compare(document.cursor);
      case "pong":
        return this.#compare(document.cursor);
      case "ack":
      case "error":
        return this.commands.settle(document);
      case "tick":
        this.emit("tick", document);
    }
  }

  /**
   * @param {Changes} changes
   * @param {boolean} own
   * @param {boolean} asked  whoever sends it sends no more by itself
   */
  #take(changes, own, asked) {
    const question = this.#question;
    const answered = question.open && (changes.reset || compare(changes.since, question.since) === 0);
    const verdict = this.store.apply(changes, { authoritative: own });
    if (answered) question.open = false;
    // The rest of a full page: the server sends it by itself, a poll must ask.
    const more = asked && verdict === "apply" && this.store.cursor !== null && this.store.complete !== this.store.cursor;
    if (verdict === "read" || more || (answered && question.again)) this.#ask();
  }

  /** @param {Cursor} theirs */
  #compare(theirs) {
    // Theirs may be below, too: the database was restored while this tab polled beside its socket.
    if (compare(theirs, this.store.cursor) !== 0) this.#ask();
  }

  /** One question at a time. */
  #ask() {
    const question = this.#question;
    if (question.open && Date.now() - question.at < PATIENCE) {
      question.again = true;
      return;
    }
    const since = this.store.cursor;
    // The question needs no ack: the changes are its answer.
    const asked = this.connection.send({ type: "changes", since, ref: this.commands.nextRef() });
    Object.assign(question, { open: asked, since, at: Date.now(), again: false });
    if (!asked) this.connection.ask();
  }
}

/**
 * @param {Notification} notification
 * @returns {Shown}
 */
function pair({ id, arrived }) {
  return [id, arrived];
}
