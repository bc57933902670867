import { Emitter, listen } from "../../platform/emitter.js";
import { CLOSE, isTerminal } from "../../protocol.js";

/**
 * One connection for all tabs of a user: the tab that leads has it, and posts
 * what it says; the others follow, and read once for themselves when they join
 * or miss something.
 *
 * Who leads is up to a lock. Whoever changes roles stays in the old one until
 * the new one is healthy: nothing falls in between, and what comes twice the
 * rule drops.
 *
 * @import { Connection } from "../connection.js"
 * @import { Cursor, Document } from "../../protocol.js"
 * @import { Tabs } from "../tabs.js"
 * @import { Transport } from "./transport.js"
 *
 * What the leader posts. No name: not connected yet; slow: it polls as a hidden tab does.
 * @typedef {{name: string, slow: boolean, text: string}} News
 *
 * @typedef {"best" | "read"} Kind  of connection; read: only when asked
 */

/** A leader that lives answers in this time, and half of it. */
const ANSWER = 1_000;

/** A leader that is silent for longer is asked whether it lives. */
const SILENCE = 30_000;

/** @implements {Transport} */
export class SharedTransport extends Emitter {
  name = "";
  greets = false;
  #life = new AbortController();
  #leads = false;
  #letGo = () => {};
  /** In use. @type {Connection | null} */
  #inner = null;
  /** Tried, for the role that is to come. @type {Connection | null} */
  #trial = null;
  /** What the leader posts waits for our own read. @type {Promise<void> | null} */
  #joined = null;
  /** How the connection ended, or the last one that was tried for it. */
  #lost = { transport: "", code: CLOSE.LOST, retryAfter: 0 };
  #heard = Date.now();
  #answered = false;
  /** @type {any} */
  #timer;
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
    this.#options.tabs.on("message", (message) => this.#hear(message), signal);
    this.#follow();
  }

  close() {
    this.#life.abort();
    clearTimeout(this.#timer);
    this.#letGo();
    this.#trial?.close();
    this.#inner?.close();
  }

  /** @param {string} text */
  send(text) {
    return Boolean(this.#leads && this.#inner?.send(JSON.parse(text)));
  }

  ask() {
    this.#inner?.ask();
  }

  /** @param {boolean} [steal] */
  #queue(steal) {
    this.#letGo();
    this.#letGo = this.#options.tabs.lead(() => this.#lead(), () => this.#follow(), steal);
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
    clearTimeout(this.#timer);
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
      return this.#end(this.#lost.code, this.#lost.retryAfter);
    }
    if (state !== "open") return;
    if (connection === this.#trial) {
      this.#inner?.close();
      this.#inner = connection;
      this.#trial = null;
    }
    if (this.#leads) this.#rename(connection.transport);
    this.emit("open");
    this.#beat();
  }

  /** @param {{document: Document, own: boolean}} detail */
  #pass({ document, own }) {
    // The heartbeat that a welcome tells of is the connection's business.
    const news = document.type === "welcome" ? document.changes : document;
    const text = JSON.stringify(news);
    this.#say(text, own);
    if (["changes", "tick"].includes(news.type)) this.#post(text);
  }

  /** @param {any} message */
  #hear({ hello, name, slow, text, end }) {
    if (end) return this.#end(end);
    if (hello) return this.#beat();
    if (this.#leads || typeof name !== "string") return;
    this.#answered = true;
    if (!name) return;
    this.#heard = Date.now();
    this.#wait(SILENCE, () => this.#inquire());
    this.#rename(name);
    this.#joined ??= new Promise((resolve) => this.#try("read").on("open", resolve));
    this.#joined.then(() => this.#say(text, false));
    if (slow && !this.#options.document.hidden) this.#queue(true);
  }

  /** Ask whether the leader lives. */
  #inquire() {
    this.#answered = false;
    this.#options.tabs.post({ hello: true });
    // Not all at once where many tabs follow.
    this.#wait(ANSWER * (1 + Math.random() / 2), () => {
      if (!this.#answered) this.#queue(true);
      else if (Date.now() - this.#heard > SILENCE) this.#end(CLOSE.LOST);
      else this.#inquire();
    });
  }

  /**
   * @param {number} wait  ms
   * @param {() => void} then
   */
  #wait(wait, then) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, wait);
  }

  /** Shown or hidden. */
  #look() {
    if (!this.#leads) return this.#options.document.hidden || this.#inquire();
    this.#beat();
  }

  /** @param {string} name */
  #rename(name) {
    if (name === this.name) return;
    this.name = name;
    this.emit("rename");
  }

  /** The followers compare where they are with where we are. */
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
  #say(text, own) {
    if (!this.#life.signal.aborted) this.emit("message", { data: text, own });
  }

  /**
   * @param {number} code
   * @param {number} [retryAfter]
   */
  #end(code, retryAfter = 0) {
    if (this.#life.signal.aborted) return;
    if (isTerminal(code)) this.#options.tabs.post({ end: code });
    this.close();
    this.emit("close", { code, retryAfter });
  }
}
