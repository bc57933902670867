import { Connection } from "../link/connection.js";
import { ladder } from "../link/ladder.js";
import { reportLife } from "../link/lifecycle.js";
import { Network } from "../link/network.js";
import { Tabs } from "../link/tabs.js";
import { now } from "../platform/clock.js";
import { Emitter } from "../platform/emitter.js";
import { CLOSE, compare, epochOf, isTerminal, reasonOf } from "../protocol.js";
import { Commands } from "./commands.js";
import { Store } from "./store.js";

/**
 * @import { State } from "../link/connection.js"
 * @import { LifeEvents } from "../link/lifecycle.js"
 * @import { Changes, Command, Counts, Cursor, Document, Mark, Notification, Shown, Tick } from "../protocol.js"
 * @import { Csrf } from "./commands.js"
 *
 * @typedef {object} MailboxEvents
 * @property {{notification: Notification}} notification  new content
 * @property {{notification: Notification, previous: Notification | null, refused?: boolean}} change
 * @property {Counts | null} counts
 * @property {null} reset  the tab starts over from a snapshot
 * @property {{state: State, transport: string}} state
 * @property {Cursor} cursor
 * @property {{ref?: number | null, code: string, message: string}} error  ref: of the command that was refused
 * @property {{ticks: Tick[]}} tick  the progress of tasks, between two changes of their rows
 * @property {null} end  closed for good
 *
 * @typedef {MailboxEvents & LifeEvents} Events
 *
 * @typedef {object} Options
 * @property {string} src  absolute address of notify's urls
 * @property {string[]} transports  best first
 * @property {() => Csrf} csrf
 * @property {string} [user]  the identity of the user for whom the server rendered this page; the server refuses the page once another user is signed in. Without it this tab is on its own, and holds no HTTP request open
 * @property {string | null} [share]  "websocket" if tabs share that as well, and not HTTP alone
 * @property {number} [pollInterval]  seconds
 * @property {EventTarget} window
 * @property {EventTarget & {hidden?: boolean, cookie: string}} document
 */

/** A question through the socket that was not answered after so many ms may be sent again. */
const PATIENCE = 10_000;

/**
 * A mailbox in this tab: connection, store and commands put together, without
 * any DOM. `<notify-root>` draws its notifications.
 *
 *     client.on("notification", ({ notification }) => console.log(notification.message));
 *
 * @extends {Emitter<Events>}
 */
export class Client extends Emitter {
  store = new Store();
  /** @type {Connection} */
  _connection;
  /** @type {Commands} */
  _commands;
  #tabs;
  /** Tells the marks of this tab from those of others. */
  #id = Math.random().toString(36).slice(2);
  #life;
  /** The cursor from which the open question asks, and when it was sent. */
  #question = { open: false, since: /** @type {Cursor} */ (null), at: 0, again: false };

  /** @param {Options} options */
  constructor({ src, transports, csrf, user, share, pollInterval, window, document }) {
    super();
    // An invalid address throws here, in the caller, and not later in a transport.
    const url = new URL(src);
    if (user) url.searchParams.set("user", user);
    src = url.href;
    const tabs = (this.#tabs = new Tabs(user));
    const network = new Network();
    const cursor = () => this.store.cursor;
    const rungs = ladder(transports, share, { src, cursor, pollInterval, tabs, network, window, document });
    this._connection = new Connection({ ladder: rungs, window, document, network });
    this._commands = new Commands({ src, send: (command) => this._connection.send(command), csrf, document });
    this.#listenToConnection();
    this.#listenToStore();
    this.#listenToCommands();
    tabs.on("message", (message) => this.#receiveMark(message));
    this.#life = reportLife(this._connection, (name, detail) => this._emit(name, /** @type {any} */ (detail)));
  }

  get state() {
    return this._connection.state;
  }

  get transport() {
    return this._connection.transport;
  }

  get counts() {
    return this.store.counts;
  }

  open() {
    this.#tabs.open();
    this._connection.open();
  }

  /** Close the connection. The store keeps its rows. */
  close() {
    this._connection.close();
    this.#tabs.close();
  }

  /** Forget the user, whose connection was closed for good. */
  _end() {
    this.#tabs.close();
    this.store._clear();
    this._emit("end");
  }

  /** Close for good, with all timers. */
  _stop() {
    this.close();
    this._commands.close();
    this.store._close();
  }

  /**
   * Mark notifications as the user saw them.
   * @param {Mark} mark
   * @param {Notification[]} notifications
   * @param {{leaving?: boolean}} [options]
   */
  mark(mark, notifications, options) {
    const ids = notifications.map(shown);
    if (ids.length > 0) this.#issue(mark, ids, { type: mark, ids }, options);
  }

  /**
   * Mark everything up to a cursor, by default the last one at which this tab missed nothing, and the
   * notifications above it that were shown. Those that arrive meanwhile stay new.
   * @param {Mark} mark
   * @param {Cursor} [cursor]
   * @param {Notification[]} [all]  those that were shown
   */
  markAll(mark, cursor = this.store.complete, all = this.store.all()) {
    if (cursor === null) return this.mark(mark, all);
    const epoch = epochOf(this.store.cursor);
    const above = all.filter((row) => compare(`${epoch}:${row.arrived}`, cursor) > 0);
    const type = /** @type {Command["type"]} */ (`${mark}_all`);
    this.#issue(mark, all.map(shown), { type, cursor, ids: above.map(shown) });
  }

  /**
   * Have the server run an action of a notification. Its outcome comes with a change of the notification. If the server
   * refuses, the event `error` has the returned number as its `ref`.
   * @param {Notification} notification
   * @param {number} action  index in its `actions`
   */
  act(notification, action) {
    const ids = [shown(notification)];
    return this.#issue("act", ids, { type: "act", ids, action });
  }

  /**
   * Go on with the marks of the page before, which the server may not have received.
   * @param {Command[]} commands
   */
  _resume(commands) {
    const renewed = commands.map((command) => ({ ...command, ref: this._commands._nextRef() }));
    for (const { type, ids, ref } of renewed) this.store._mark(/** @type {Mark} */ (type.replace("_all", "")), /** @type {Shown[]} */ (ids), ref);
    this._commands.replace(renewed);
  }

  /**
   * Show a mark here and in the other tabs, before the server has answered, and send it.
   * @param {Mark | "act"} mark
   * @param {Shown[]} ids
   * @param {Omit<Command, "ref">} command
   * @param {{leaving?: boolean}} [options]
   */
  #issue(mark, ids, command, options) {
    const ref = this._commands._nextRef();
    const epoch = epochOf(this.store.cursor);
    this.store._mark(mark, ids, ref);
    this.#post(ref, { mark, ids, epoch });
    this._commands._issue({ ...command, epoch, ref }, options);
    return ref;
  }

  /**
   * Post to the other tabs what becomes of a mark.
   * @param {number} ref
   * @param {object} outcome
   */
  #post(ref, outcome) {
    this.#tabs.post({ ...outcome, ref: `${this.#id}:${ref}` });
  }

  /** @param {any} message  about a mark of another tab */
  #receiveMark({ ref, mark, ids, epoch, acked, refused }) {
    if (mark && epoch === epochOf(this.store.cursor)) this.store._mark(mark, ids, ref);
    if (acked) this.store._acknowledge(ref, acked);
    if (refused) this.store._fail(ref, true);
  }

  #listenToConnection() {
    const connection = this._connection;
    const emitState = () => this._emit("state", { state: this.state, transport: this.transport });
    connection.on("state", emitState);
    connection.on("rename", emitState);
    connection.on("document", (detail) => this.#receive(detail));
    connection.on("doubt", () => connection.send({ type: "ping", cursor: this.store.cursor }));
    connection.on("open", () => {
      this._commands._resend();
      // Emitted again, because a page may show older counts than the store has.
      if (this.counts) this._emit("counts", this.counts);
    });
    connection.on("end", ({ code }) => {
      const reason = reasonOf(code);
      const message = `notify: closed by the server: ${reason.replace("_", " ")}`;
      console.warn(message);
      this._emit("error", { code: reason, message });
      this._end();
    });
  }

  #listenToStore() {
    const { store } = this;
    for (const name of /** @type {const} */ (["reset", "counts", "cursor"])) store.on(name, (detail) => this._emit(name, detail));
    store.on("change", ({ notification, previous, fresh, refused }) => {
      this._emit("change", { notification, previous, refused });
      if (!fresh) return;
      this.#life.recovered += 1;
      this._emit("notification", { notification });
    });
  }

  #listenToCommands() {
    this._commands.on("ack", ({ ref, cursor }) => {
      this.store._acknowledge(ref, cursor);
      this.#post(ref, { acked: cursor });
      // Otherwise a poll would read its own mark only seconds later.
      if (this.transport === "poll" && compare(cursor, this.store.cursor) > 0) this._connection.ask();
    });
    this._commands.on("error", ({ ref, code, message }) => {
      if (ref !== null) {
        this.store._fail(ref, true);
        this.#post(ref, { refused: true });
      }
      const end = CLOSE[code];
      if (isTerminal(end)) this._connection.end(end);
      else this._emit("error", { ref, code, message });
    });
  }

  /** @param {{document: Document, own: boolean}} detail */
  #receive({ document, own }) {
    switch (document.type) {
      case "welcome":
        this.#question.open = false;
        return this.#take(document.changes, own, false);
      case "changes":
        return this.#take(document, own, own);
      case "ping":
        this._connection.send({ type: "pong", cursor: this.store.cursor, ref: document.ref });
        return this.#compare(document.cursor);
      case "pong":
        return this.#compare(document.cursor);
      case "ack":
      case "error":
        return this._commands._settle(document);
      case "tick":
        this._emit("tick", document);
    }
  }

  /**
   * @param {Changes} changes
   * @param {boolean} own
   * @param {boolean} asked  whether its sender waits to be asked for more
   */
  #take(changes, own, asked) {
    const question = this.#question;
    const answered = question.open && (changes.reset || compare(changes.since, question.since) === 0);
    const verdict = this.store._apply(changes, own);
    if (answered) question.open = false;
    // A socket's server sends the rest of a full page by itself; a poll has to ask for it.
    const more = asked && verdict === "apply" && this.store.cursor !== null && this.store.complete !== this.store.cursor;
    if (verdict === "read" || more || (answered && question.again)) this.#ask();
  }

  /** @param {Cursor} theirs */
  #compare(theirs) {
    // Theirs may be below ours as well, if the database was restored while this tab polled beside its socket.
    if (compare(theirs, this.store.cursor) !== 0) this.#ask();
  }

  /** Ask for the changes, one question at a time. */
  #ask() {
    const question = this.#question;
    if (question.open && now() - question.at < PATIENCE) {
      question.again = true;
      return;
    }
    const since = this.store.cursor;
    // The question gets no ack. The changes are its answer.
    const sent = this._connection.send({ type: "changes", since, ref: this._commands._nextRef() });
    Object.assign(question, { open: sent, since, at: now(), again: false });
    if (!sent) this._connection.ask();
  }
}

/**
 * @param {Notification} notification
 * @returns {Shown}
 */
function shown({ id, arrived }) {
  return [id, arrived];
}
