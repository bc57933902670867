import { Backoff } from "../link/backoff.js";
import { address, request } from "../link/transports/transport.js";
import { Emitter } from "../platform/emitter.js";
import { parseJson } from "../platform/json.js";
import { Timer } from "../platform/timer.js";

/**
 * @import { Ack, Command, Failure } from "../protocol.js"
 *
 * @typedef {object} Csrf
 * @property {string} cookie  name of the cookie
 * @property {string} header  name of the header
 * @property {string | null} token  from the page, if scripts cannot read the cookie
 */

/** So many unanswered commands are kept, so that a tab that is offline for a day does not send every click of it. */
const KEPT = 100;

/** With these errors the server asks for the command to be sent again later. */
const LATER = ["unavailable", "too_many"];

/**
 * Sends to the server what the user did: through the socket while one is open,
 * else by POST. Commands that were not answered are sent again when the
 * connection is back, and those that the server could not execute after a
 * while. Marks name what was shown, so sending them twice does no harm.
 *
 * Events: `ack` ({ref, cursor}), `error` ({ref, code, message}).
 */
export class Commands extends Emitter {
  #ref = 0;
  /** @type {Map<number, Command>} */
  #pending = new Map();
  /** Commands whose POST is not answered yet. @type {Set<number>} */
  #posted = new Set();
  #retry = new Timer();
  #backoff = new Backoff();
  /** Until all are sent again, in ms. Nothing else is sent meanwhile. */
  #wait = 0;
  /** The answer to the request for a new CSRF token. False if that was refused as well. @type {Promise<any> | false | undefined} */
  #renewal;
  /** The tokens in place of those of the page that were refused. @type {Map<unknown, string>} */
  #tokens = new Map();
  #options;

  /**
   * @param {object} options
   * @param {string} options.src  absolute address of notify's urls
   * @param {(command: Command) => boolean} options.send  through the socket; returns false without one
   * @param {() => Csrf} options.csrf  called for each POST, because tokens change at sign-in
   * @param {{cookie: string}} options.document
   */
  constructor(options) {
    super();
    this.#options = options;
  }

  /** The number of the next command. */
  _nextRef() {
    return ++this.#ref;
  }

  /**
   * @param {Command} command
   * @param {{leaving?: boolean}} [options]  leaving: the page may be gone before the socket has sent what is buffered
   */
  _issue(command, options) {
    this.#pending.set(command.ref, command);
    const [oldest] = this.#pending.keys();
    if (this.#pending.size > KEPT) this.#pending.delete(oldest);
    this.#deliver(command, options?.leaving);
  }

  /** Those that are not answered, the oldest first. */
  get _pending() {
    return [...this.#pending.values()];
  }

  /**
   * Replace all that is not answered. It is sent when the connection is open.
   * @param {Command[]} commands
   */
  replace(commands) {
    this.#pending = new Map(commands.map((command) => [command.ref, command]));
  }

  /** @param {Ack | Failure} answer */
  _settle(answer) {
    const { ref, type } = answer;
    if (ref === null) return this._emit("error", answer);
    if (!this.#pending.has(ref)) return;
    if (type === "error" && LATER.includes(answer.code)) return this.#later();
    if (type === "ack") {
      this.#backoff.reset();
      this.#renewal = undefined;
    }
    this.#pending.delete(ref);
    this._emit(type, answer);
  }

  /**
   * Send again what was not answered.
   * @param {boolean} [leaving]
   */
  _resend(leaving) {
    this.#retry.stop();
    this.#wait = 0;
    for (const command of this._pending) {
      if (!this.#posted.has(command.ref)) this.#deliver(command, leaving);
    }
  }

  close() {
    this.#retry.stop();
    this.#pending.clear();
  }

  /**
   * Send a command, unless an earlier one is being posted or waits: an undo must not overtake its mark.
   * @param {Command} command
   * @param {boolean} [leaving]
   */
  #deliver(command, leaving) {
    if (leaving) this.#post(command);
    else if (!this.#posted.size && !this.#wait && !this.#options.send(command)) this.#post(this._pending[0]);
  }

  #later() {
    // Drawn once for all commands that fail together, so that they count as one try.
    this.#wait ||= this.#backoff.next();
    this.#retry.start(this.#wait, () => this._resend());
  }

  /**
   * @param {Command} command
   * @param {boolean} [isSecond]  with a new token
   * @returns {Promise<void>}
   */
  async #post(command, isSecond = false) {
    const { ref } = command;
    this.#posted.add(ref);
    const stale = this.#token();
    const token = this.#tokens.get(stale) ?? stale;
    let { response, answer } = await this.#fetch("commands/", {
      method: "POST",
      // Without it the request would end with the page, when a click on a link leaves that.
      keepalive: true,
      headers: { "Content-Type": "application/json", ...(token && { [this.#options.csrf().header]: token }) },
      body: JSON.stringify(command),
    });
    if (response?.status === 403 && answer?.type !== "error") {
      // Otherwise each command would ask for a token that does not help.
      if (isSecond) this.#renewal = false;
      answer = await (this.#renewal ??= this.#renew());
      if (answer?.token) return this.#post(command, true);
    }
    this.#posted.delete(ref);
    this.#conclude(ref, response, answer);
    if (!this.#wait) this._resend();
  }

  /** Get a token in place of the page's, which another tab has made stale by signing in anew. Returns the server's answer. */
  async #renew() {
    const stale = this.#token();
    const { answer } = await this.#fetch("token/", { cache: "no-store" });
    if (answer?.token) this.#tokens.set(stale, answer.token);
    return answer;
  }

  /**
   * @param {string} path
   * @param {RequestInit} options
   * @returns {Promise<{response: Response | null, answer: any}>}  answer: undefined if it is no JSON; then its status decides
   */
  async #fetch(path, options) {
    // The token must not reach another site.
    const { response, text } = await request(address(path, this.#options.src, null), { mode: "same-origin", ...options });
    return { response, answer: parseJson(text) };
  }

  /**
   * @param {number} ref
   * @param {Response | null} response
   * @param {any} answer  the JSON of the response
   */
  #conclude(ref, response, answer) {
    if (response?.ok && answer?.type === "ack") {
      this._settle({ ...answer, ref });
    } else if (response && response.status >= 400 && response.status < 500 && response.status !== 429) {
      const code = response.status === 403 ? "csrf" : "bad_command";
      this._settle({ code, message: response.statusText, ...answer, type: "error", ref });
    } else if (this.#pending.has(ref)) {
      this.#later();
    }
  }

  /** The token of the page, or of its cookie. */
  #token() {
    const { cookie, token } = this.#options.csrf();
    return token ?? readCookie(this.#options.document.cookie, cookie);
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
