import { Backoff } from "../link/backoff.js";
import { Emitter } from "../platform/emitter.js";

/**
 * Tells the server what the user did: over the socket while one is open, else
 * by POST. What was not answered is said again when the connection is back;
 * marks carry what was shown, so saying them twice does no harm.
 *
 * Events: `ack` ({ref, cursor}), `error` ({ref, code, message}).
 *
 * @import { Ack, Command, Failure } from "../protocol.js"
 *
 * @typedef {object} Csrf
 * @property {string} cookie  name of the cookie
 * @property {string} header  name of the header
 * @property {string | null} token  given by the page where scripts cannot read the cookie
 */

/** A tab that is offline for a day does not remember every click of it. */
const KEPT = 100;

export class Commands extends Emitter {
  #ref = 0;
  /** @type {Map<number, Command>} */
  #pending = new Map();
  /** Commands whose POST is not answered yet. @type {Set<number>} */
  #posted = new Set();
  /** @type {any} */
  #retry;
  #backoff = new Backoff();
  #options;

  /**
   * @param {object} options
   * @param {string} options.src  absolute address of notify's urls
   * @param {(command: Command) => boolean} options.send  over the socket, if there is one
   * @param {() => Csrf} options.csrf  asked at each call: tokens change at sign-in
   * @param {{cookie: string}} options.document
   */
  constructor(options) {
    super();
    this.#options = options;
  }

  /** A number for the next command. */
  nextRef() {
    this.#ref += 1;
    return this.#ref;
  }

  /**
   * @param {Command} command
   * @param {{leaving?: boolean}} [options]  leaving: the page may be gone before a socket is emptied
   */
  issue(command, { leaving = false } = {}) {
    this.#pending.set(command.ref, command);
    const [oldest] = this.#pending.keys();
    if (this.#pending.size > KEPT) this.#pending.delete(oldest);
    this.#deliver(command, leaving);
  }

  /** @param {Ack | Failure} answer */
  settle(answer) {
    if (answer.ref === null) return this.emit("error", answer);
    if (!this.#pending.delete(answer.ref)) return;
    this.emit(answer.type, answer);
  }

  /**
   * Say again what was not answered.
   * @param {{leaving?: boolean}} [options]
   */
  resend({ leaving = false } = {}) {
    clearTimeout(this.#retry);
    for (const command of [...this.#pending.values()]) {
      if (!this.#posted.has(command.ref)) this.#deliver(command, leaving);
    }
  }

  close() {
    clearTimeout(this.#retry);
    this.#pending.clear();
  }

  /**
   * @param {Command} command
   * @param {boolean} leaving
   */
  #deliver(command, leaving) {
    if (leaving || !this.#options.send(command)) this.#post(command);
  }

  /** @param {Command} command */
  async #post(command) {
    const { ref } = command;
    this.#posted.add(ref);
    /** @type {Response | null} */
    let response = null;
    let answer;
    try {
      response = await fetch(new URL("commands/", this.#options.src), {
        method: "POST",
        // The request outlives the page that a click on a link ends.
        keepalive: true,
        headers: { "Content-Type": "application/json", ...this.#token() },
        body: JSON.stringify(command),
      });
      answer = await response.json();
    } catch {
      answer = null;
    }
    this.#posted.delete(ref);
    if (response?.ok && answer?.type === "ack") {
      this.#backoff.reset();
      this.settle({ type: "ack", ref, cursor: answer.cursor ?? null });
    } else if (response && response.status >= 400 && response.status < 500 && response.status !== 429) {
      const code = answer?.code ?? (response.status === 403 ? "csrf" : "bad_command");
      this.settle({ type: "error", ref, code, message: answer?.message ?? response.statusText });
    } else if (this.#pending.has(ref)) {
      clearTimeout(this.#retry);
      this.#retry = setTimeout(() => this.resend(), this.#backoff.next());
    }
  }

  /** @returns {Record<string, string>} */
  #token() {
    const { csrf, document } = this.#options;
    const { cookie, header, token } = csrf();
    const value = token ?? readCookie(document.cookie, cookie);
    return value ? { [header]: value } : {};
  }
}

/**
 * @param {string} cookies
 * @param {string} name
 */
function readCookie(cookies, name) {
  const pair = cookies.split("; ").find((pair) => pair.startsWith(`${name}=`));
  return pair && decodeURIComponent(pair.slice(name.length + 1));
}
