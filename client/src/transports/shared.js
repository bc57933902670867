import { CLOSE, isTerminal } from "../protocol.js";
import { Closed, Heard } from "./transport.js";

/**
 * One connection for all tabs of a user: the tab that leads has it, and posts
 * what it says; the others follow, and read once for themselves when they join
 * or miss something.
 *
 * Who leads is up to a lock. Whoever changes roles stays in the old one until
 * the new one is healthy: nothing falls in between, and what comes twice the
 * rule drops. Where tabs cannot meet, each leads itself, and lets go of held
 * requests while it is hidden: a browser has six for a host.
 *
 * @import { Connection } from "../connection.js"
 * @import { Cursor, Document } from "../protocol.js"
 * @import { Tabs } from "../tabs.js"
 * @import { Transport } from "./transport.js"
 *
 * What the leader posts. No name: not connected yet; slow: it polls as a hidden tab does.
 * @typedef {{name: string, slow: boolean, text: string}} News
 *
 * @typedef {"best" | "slow" | "read"} Kind  of connection; slow: none that holds a request; read: only when asked
 */

/** A leader that lives answers in this time, and half of it. */
const ANSWER = 1_000;

/** A leader that is silent for longer is asked whether it lives. */
const SILENCE = 30_000;

/** @implements {Transport} */
export class SharedTransport extends EventTarget {
  name = "";
  greets = false;
  passing = false;
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

  /**
   * @param {object} options
   * @param {Tabs} options.tabs
   * @param {EventTarget & {hidden?: boolean}} options.document
   * @param {() => Cursor} options.cursor
   * @param {(kind: Kind) => Connection} options.connect
   */
  constructor({ tabs, document, cursor, connect }) {
    super();
    this.tabs = tabs;
    this.document = document;
    this.cursor = cursor;
    this.connect = connect;
  }

  open() {
    const { signal } = this.#life;
    this.document.addEventListener("visibilitychange", () => this.#look(), { signal });
    if (!this.tabs.together) return this.#lead();
    this.tabs.addEventListener("message", (event) => this.#hear(/** @type {MessageEvent} */ (event).data), { signal });
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
    this.#letGo = this.tabs.lead(() => this.#lead(), () => this.#follow(), steal);
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
    this.passing = !this.tabs.together && Boolean(this.document.hidden);
    this.#try(this.passing ? "slow" : "best");
    this.#beat();
  }

  /** @param {Kind} kind */
  #try(kind) {
    this.#trial?.close();
    const trial = (this.#trial = this.connect(kind));
    trial.on("state", () => this.#watch(trial));
    trial.on("document", (detail) => this.#pass(detail));
    trial.on("doubt", () => trial.send({ type: "ping", cursor: this.cursor() }));
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
    this.dispatchEvent(new Event("open"));
    this.#beat();
  }

  /** @param {{document: Document, own: boolean}} detail */
  #pass({ document, own }) {
    // The heartbeat that a welcome tells of is the connection's business.
    const news = document.type === "welcome" ? document.changes : document;
    const text = JSON.stringify(news);
    this.#say(text, own);
    if (news.type === "changes") this.#post(text);
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
    if (slow && !this.document.hidden) this.#queue(true);
  }

  /** Ask whether the leader lives. */
  #inquire() {
    this.#answered = false;
    this.tabs.post({ hello: true });
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
    const { hidden } = this.document;
    if (!this.#leads) return hidden || this.#inquire();
    if (this.tabs.together) this.#beat();
    else if (hidden ? this.name !== "websocket" : this.name === "poll") this.#lead();
  }

  /** @param {string} name */
  #rename(name) {
    if (name === this.name) return;
    this.name = name;
    this.dispatchEvent(new Event("rename"));
  }

  /** The followers compare where they are with where we are. */
  #beat() {
    this.#post(JSON.stringify({ type: "ping", cursor: this.cursor() }));
  }

  /** @param {string} text */
  #post(text) {
    if (!this.#leads) return;
    const name = this.#trial ? "" : this.name;
    this.tabs.post({ name, slow: name === "poll" && Boolean(this.document.hidden), text });
  }

  /**
   * @param {string} text
   * @param {boolean} own
   */
  #say(text, own) {
    if (!this.#life.signal.aborted) this.dispatchEvent(new Heard(text, own));
  }

  /**
   * @param {number} code
   * @param {number} [retryAfter]
   */
  #end(code, retryAfter) {
    if (this.#life.signal.aborted) return;
    if (isTerminal(code)) this.tabs.post({ end: code });
    this.close();
    this.dispatchEvent(new Closed(code, retryAfter));
  }
}
