import { now } from "../../platform/clock.js";
import { Emitter, listen } from "../../platform/emitter.js";
import { Timer } from "../../platform/timer.js";
import { CLOSE, isTerminal } from "../../protocol.js";

/**
 * @import { Connection } from "../connection.js"
 * @import { Cursor, Document } from "../../protocol.js"
 * @import { Tabs } from "../tabs.js"
 * @import { Transport } from "./transport.js"
 *
 * @typedef {"best" | "read"} Kind  of connection; "read" reads only when asked
 *
 * @typedef {object} Post  what tabs post to each other
 * @property {boolean} [hello]  a follower asks whether the leader is alive
 * @property {string} [name]  of the leader's transport; empty while it is not connected
 * @property {boolean} [slow]  the leader polls at the pace of a hidden tab
 * @property {string} [text]  a document that the leader received, or a ping with its cursor
 * @property {number} [end]  the code by which the server closed the connection for good
 */

/** A leader that is alive answers within this time, and half of it more, in ms. */
const ANSWER = 1_000;

/** A leader that was silent for so many ms is asked whether it is alive. */
const SILENCE = 30_000;

/**
 * One connection for all tabs of a user. The tab that leads has it, and posts
 * the documents that it receives. The others follow, and read once for
 * themselves when they join or have missed something.
 *
 * A lock decides which tab leads. A tab that changes its role stays in the old
 * one until the new one is healthy, so that nothing is lost in between; what
 * comes twice is dropped by the rule.
 * @implements {Transport}
 */
export class SharedTransport extends Emitter {
  name = "";
  _greets = false;
  #life = new AbortController();
  #leads = false;
  /** Gives up the lock, or the wait for it. */
  #letGo = () => {};
  /** In use. @type {Connection | null} */
  #inner = null;
  /** Tried for the next role. @type {Connection | null} */
  #trial = null;
  /** Our own read, for which the documents of the leader wait. @type {Promise<void> | null} */
  #joined = null;
  /** How the connection ended, or the last transport that was tried for it. */
  #lost = { transport: "", code: CLOSE.lost, _retryAfter: 0 };
  #received = now();
  #answered = false;
  #timer = new Timer();
  #options;

  /**
   * @param {object} options
   * @param {Tabs} options.tabs
   * @param {EventTarget & {hidden?: boolean}} options.document
   * @param {() => Cursor} options.cursor
   * @param {(kind: Kind) => Connection} options.connect
   */
  constructor(options) {
    super();
    this.#options = options;
  }

  open() {
    const { signal } = this.#life;
    listen(this.#options.document, "visibilitychange", () => this.#look(), signal);
    this.#options.tabs.on("message", (post) => this.#receive(post), signal);
    this.#follow();
  }

  close() {
    this.#life.abort();
    this.#timer.stop();
    this.#letGo();
    this.#trial?.close();
    this.#inner?.close();
  }

  /** @param {object} document */
  send(document) {
    return Boolean(this.#leads && this.#inner?.send(document));
  }

  ask() {
    this.#inner?.ask();
  }

  /** @param {boolean} [steal] */
  #queue(steal) {
    this.#letGo();
    this.#letGo = this.#options.tabs._lead(() => this.#lead(), () => this.#follow(), steal);
  }

  #follow() {
    this.#leads = false;
    this.#trial?.close();
    this.#trial = this.#joined = null;
    this.#queue();
    this.#inquire();
  }

  #lead() {
    this.#leads = true;
    this.#timer.stop();
    this.#try("best");
    this.#beat();
  }

  /** @param {Kind} kind */
  #try(kind) {
    this.#trial?.close();
    const trial = (this.#trial = this.#options.connect(kind));
    trial.on("state", () => this.#watch(trial));
    trial.on("document", (detail) => this.#pass(detail));
    trial.on("doubt", () => trial.send({ type: "ping", cursor: this.#options.cursor() }));
    trial.on("lost", (detail) => (this.#lost = detail));
    trial.on("end", ({ code }) => this.#end(code));
    trial.open();
    return trial;
  }

  /** @param {Connection} connection */
  #watch(connection) {
    const { state } = connection;
    if (state === "waiting") {
      this.name ||= this.#lost.transport;
      return this.#end(this.#lost.code, this.#lost._retryAfter);
    }
    if (state !== "open") return;
    if (connection === this.#trial) {
      this.#inner?.close();
      this.#inner = connection;
      this.#trial = null;
    }
    if (this.#leads) this.#rename(connection.transport);
    this._emit("open");
    this.#beat();
  }

  /** @param {{document: Document, own: boolean}} detail */
  #pass({ document, own }) {
    // The heartbeat of a welcome concerns the connection alone.
    const passed = document.type === "welcome" ? document.changes : document;
    const text = JSON.stringify(passed);
    this.#forward(text, own);
    if (["changes", "tick"].includes(passed.type)) this.#post(text);
  }

  /** @param {Post} post */
  #receive({ hello, name, slow, text, end }) {
    if (end) return this.#end(end);
    if (hello) return this.#beat();
    if (this.#leads || typeof name !== "string") return;
    this.#answered = true;
    if (!name) return;
    this.#received = now();
    this.#timer.start(SILENCE, () => this.#inquire());
    this.#rename(name);
    this.#joined ??= new Promise((resolve) => this.#try("read").on("open", resolve));
    this.#joined.then(() => this.#forward(/** @type {string} */ (text), false));
    if (slow && !this.#options.document.hidden) this.#queue(true);
  }

  /** Ask whether the leader is alive, and take over if it does not answer. */
  #inquire() {
    this.#answered = false;
    this.#options.tabs.post({ hello: true });
    // At a random time, so that not all followers try to take over at once.
    this.#timer.start(ANSWER * (1 + Math.random() / 2), () => {
      if (!this.#answered) this.#queue(true);
      else if (now() - this.#received > SILENCE) this.#end(CLOSE.lost);
      else this.#inquire();
    });
  }

  /** The tab was shown or hidden. */
  #look() {
    if (!this.#leads) return this.#options.document.hidden || this.#inquire();
    this.#beat();
  }

  /** @param {string} name */
  #rename(name) {
    if (name === this.name) return;
    this.name = name;
    this._emit("rename");
  }

  /** Post our cursor, with which the followers compare theirs. */
  #beat() {
    this.#post(JSON.stringify({ type: "ping", cursor: this.#options.cursor() }));
  }

  /** @param {string} text */
  #post(text) {
    if (!this.#leads) return;
    const name = this.#trial ? "" : this.name;
    this.#options.tabs.post({ name, slow: name === "poll" && Boolean(this.#options.document.hidden), text });
  }

  /**
   * @param {string} text
   * @param {boolean} own
   */
  #forward(text, own) {
    if (!this.#life.signal.aborted) this._emit("message", { data: text, own });
  }

  /**
   * @param {number} code
   * @param {number} [retryAfter]
   */
  #end(code, retryAfter = 0) {
    if (this.#life.signal.aborted) return;
    if (isTerminal(code)) this.#options.tabs.post({ end: code });
    this.close();
    this._emit("close", { code, _retryAfter: retryAfter });
  }
}
