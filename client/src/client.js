import { Commands } from "./commands.js";
import { Connection } from "./connection.js";
import { CLOSE, compare } from "./protocol.js";
import { Store } from "./store.js";
import { PollTransport } from "./transports/poll.js";
import { WebSocketTransport } from "./transports/websocket.js";

/**
 * A mailbox in this tab: connection, store and commands put together, and no
 * DOM. `<notify-root>` draws what it says.
 *
 * Events: `notification` ({notification}; new content), `change`
 * ({notification, previous}), `counts`, `reset`, `state`, `cursor`, `error`
 * ({code, message}), `end`.
 *
 * @import { Backoff } from "./backoff.js"
 * @import { Csrf } from "./commands.js"
 * @import { Changes, Command, Cursor, Document, Mark, Notification, Shown } from "./protocol.js"
 * @import { Change } from "./store.js"
 * @import { Transport } from "./transports/transport.js"
 *
 * @typedef {object} Options
 * @property {string} src  absolute address of notify's urls
 * @property {string[]} transports  best first
 * @property {() => Csrf} csrf
 * @property {number} [pollInterval]  seconds
 * @property {EventTarget} window
 * @property {EventTarget & {hidden?: boolean, cookie: string}} document
 * @property {typeof fetch} [fetch]
 * @property {typeof WebSocket} [WebSocket]
 * @property {Backoff} [backoff]
 * @property {Backoff} [probing]
 */

/** A question over the socket that nobody answers may be asked again. */
const PATIENCE = 10_000;

/** What a closed connection means, for `error` events. */
const REASONS = /** @type {Record<number, string>} */ ({
  [CLOSE.PROTOCOL]: "protocol",
  [CLOSE.NOT_SIGNED_IN]: "not_signed_in",
  [CLOSE.FOREIGN_ORIGIN]: "foreign_origin",
  [CLOSE.KICKED]: "kicked",
});

export class Client extends EventTarget {
  store = new Store();
  /** The cursor from which the open question asks, and when it was put. */
  #question = { open: false, since: /** @type {Cursor} */ (null), at: 0, again: false };

  /** @param {Options} options */
  constructor({ src, transports, csrf, pollInterval, window, document, fetch, WebSocket, backoff, probing }) {
    super();
    const cursor = () => this.store.cursor;
    /** @type {Record<string, () => Transport>} */
    const makers = {
      websocket: () => new WebSocketTransport({ src, cursor, WebSocket }),
      poll: () => new PollTransport({ src, cursor, interval: pollInterval, document, fetch }),
    };
    // A name of a later release is passed over; polling is always possible.
    const ladder = transports.filter((name) => Object.hasOwn(makers, name)).map((name) => makers[name]);
    this.connection = new Connection({ ladder: ladder.length ? ladder : [makers.poll], window, document, backoff, probing });
    this.commands = new Commands({ src, send: (command) => this.connection.send(command), csrf, document, fetch });
    this.#listen();
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
    this.connection.open();
  }

  /** Release the socket; what the store holds stays. */
  close() {
    this.connection.close();
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
    this.store.mark(mark, ids, ref);
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
    this.store.mark(mark, all.map(pair), ref);
    const type = /** @type {Command["type"]} */ (`${mark}_all`);
    this.commands.issue({ type, cursor: complete, ids: above.map(pair), epoch, ref });
  }

  /** In which the rows of the store arrived. */
  #epoch() {
    return this.store.cursor?.split(":")[0];
  }

  #listen() {
    const { connection, store, commands } = this;
    connection.addEventListener("state", () => this.#emit("state", { state: this.state, transport: this.transport }));
    connection.addEventListener("document", (event) => this.#hear(/** @type {CustomEvent} */ (event).detail));
    connection.addEventListener("doubt", () => connection.send({ type: "ping", cursor: store.cursor }));
    connection.addEventListener("open", () => {
      commands.resend();
      // Said again, because the page may show older ones than the store knows.
      if (store.counts) this.#emit("counts", store.counts);
    });
    connection.addEventListener("end", (event) => {
      const { code } = /** @type {CustomEvent} */ (event).detail;
      this.#emit("error", { code: REASONS[code] ?? String(code), message: `The server closed the connection (${code}).` });
      this.#emit("end");
    });
    store.addEventListener("reset", () => this.#emit("reset"));
    store.addEventListener("counts", () => this.#emit("counts", store.counts));
    store.addEventListener("cursor", () => this.#emit("cursor", store.cursor));
    store.addEventListener("change", (event) => {
      const { notification, previous, fresh } = /** @type {CustomEvent<Change>} */ (event).detail;
      this.#emit("change", { notification, previous });
      if (fresh) this.#emit("notification", { notification });
    });
    commands.addEventListener("ack", (event) => {
      const { ref, cursor } = /** @type {CustomEvent} */ (event).detail;
      store.acknowledge(ref, cursor);
      // A poll would learn of its own mark seconds later.
      if (compare(cursor, store.cursor) > 0) connection.ask();
    });
    commands.addEventListener("error", (event) => {
      const { ref, code, message } = /** @type {CustomEvent} */ (event).detail;
      if (ref !== null) store.fail(ref);
      this.#emit("error", { code, message });
    });
  }

  /** @param {{document: Document, authoritative: boolean}} detail */
  #hear({ document, authoritative }) {
    switch (document.type) {
      case "welcome":
        this.#question.open = false;
        return this.#take(document.changes, true);
      case "changes":
        return this.#take(document, authoritative);
      case "ping":
        this.connection.send({ type: "pong", cursor: this.store.cursor, ref: document.ref });
        return this.#compare(document.cursor);
      case "pong":
        return this.#compare(document.cursor);
      case "ack":
      case "error":
        return this.commands.settle(document);
    }
  }

  /**
   * @param {Changes} changes
   * @param {boolean} authoritative
   */
  #take(changes, authoritative) {
    const question = this.#question;
    const answered = question.open && (changes.reset || compare(changes.since, question.since) === 0);
    const verdict = this.store.apply(changes, { authoritative });
    if (answered) question.open = false;
    // The rest of a full page: the server sends it by itself, a poll must ask.
    const more = this.transport === "poll" && verdict === "apply" && this.store.cursor !== null && this.store.complete !== this.store.cursor;
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

  /**
   * @param {string} type
   * @param {unknown} [detail]
   */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/**
 * @param {Notification} notification
 * @returns {Shown}
 */
function pair({ id, arrived }) {
  return [id, arrived];
}
