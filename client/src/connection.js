import { Backoff } from "./backoff.js";
import { Liveness } from "./liveness.js";
import { CLOSE, isTerminal, parse, ProtocolError } from "./protocol.js";

/**
 * Keeps one transport of a ladder open, the best that can be had.
 *
 * A transport counts only once it is healthy, that is, has given its first
 * document: some proxies open sockets that carry nothing. If it cannot be had,
 * the next rung is tried; from a lower rung the best one is probed in the
 * background. What an earlier transport still says is not heard.
 *
 * Events: `document` ({document, authoritative}), `open` (healthy), `state`,
 * `doubt` (ask for a sign of life), `end` ({code}: closed for good).
 *
 * @import { Document } from "./protocol.js"
 * @import { Closed, Transport } from "./transports/transport.js"
 *
 * @typedef {"connecting" | "open" | "waiting" | "closed"} State
 * @typedef {{transport: Transport, rung: number, timer: any, since: number}} Attempt
 */

/** How long the first document may take while nothing else is open. */
const PATIENCE = 2_500;

/** A probe holds nobody up, so slow networks get their time. */
const PROBE_PATIENCE = 10_000;

/** A connection that lasted this long was a good one: the backoff starts anew. */
const STEADY = 5_000;

export class Connection extends EventTarget {
  /** @type {State} */
  state = "closed";
  /** @type {Attempt | null} */
  #active = null;
  /** @type {Attempt | null} */
  #trial = null;
  /** @type {any} */
  #timer;
  /** @type {any} */
  #probeTimer;
  /** @type {AbortController | null} */
  #listening = null;

  /**
   * @param {object} options
   * @param {(() => Transport)[]} options.ladder  makers of transports, best first
   * @param {EventTarget} options.window
   * @param {EventTarget & {hidden?: boolean}} options.document
   * @param {Backoff} [options.backoff]
   * @param {Backoff} [options.probing]
   */
  constructor({ ladder, window, document, backoff = new Backoff(), probing = new Backoff({ most: 120_000 }) }) {
    super();
    this.ladder = ladder;
    this.window = window;
    this.document = document;
    this.backoff = backoff;
    this.probing = probing;
    this.liveness = new Liveness({ window, document });
    this.liveness.addEventListener("doubt", () => this.dispatchEvent(new Event("doubt")));
    this.liveness.addEventListener("dead", () => this.#fail(this.#active));
  }

  /** The name of the transport in use, or "". */
  get transport() {
    return this.#active?.transport.name ?? "";
  }

  open() {
    if (this.#listening) return;
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    this.window.addEventListener("online", () => this.#return() || this.#probe(), { signal });
    this.document.addEventListener("visibilitychange", () => !this.document.hidden && this.#return(), { signal });
    this.#climb();
  }

  /** Let go of everything; `open()` starts again. */
  close() {
    this.#listening?.abort();
    this.#listening = null;
    this.#rest();
    this.#become("closed");
  }

  /**
   * Whether the document is on its way. False: send it by other means.
   * @param {object} document
   */
  send(document) {
    return this.#active?.transport.send(JSON.stringify(document)) ?? false;
  }

  /** Let a transport that asks by itself do so now. */
  ask() {
    this.#active?.transport.ask();
  }

  #climb() {
    this.#rest();
    this.#become("connecting");
    this.#try(0, PATIENCE);
  }

  /**
   * @param {number} rung
   * @param {number} patience  ms
   */
  #try(rung, patience) {
    const transport = this.ladder[rung]();
    const attempt = { transport, rung, timer: setTimeout(() => this.#fail(attempt), patience), since: 0 };
    this.#trial = attempt;
    transport.addEventListener("open", () => !transport.greets && this.#adopt(attempt));
    transport.addEventListener("message", (event) => this.#hear(attempt, /** @type {MessageEvent} */ (event).data));
    transport.addEventListener("close", (event) => this.#lose(attempt, /** @type {Closed} */ (event)));
    transport.open();
  }

  /**
   * @param {Attempt} attempt
   * @param {string} text
   */
  #hear(attempt, text) {
    if (attempt !== this.#active && attempt !== this.#trial) return;
    /** @type {Document | null} */
    let document;
    try {
      document = parse(text);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      return this.#fail(attempt);
    }
    if (document?.type === "welcome") {
      this.#adopt(attempt);
      this.liveness.start(document.heartbeat);
    }
    if (attempt !== this.#active) return;
    this.liveness.alive();
    if (!document) return;
    // A welcome and a poll answer our own question; all else is the server's news.
    const authoritative = document.type === "welcome" || !attempt.transport.greets;
    this.dispatchEvent(new CustomEvent("document", { detail: { document, authoritative } }));
    if (document.type === "welcome") this.dispatchEvent(new Event("open"));
  }

  /** @param {Attempt} attempt */
  #adopt(attempt) {
    if (attempt !== this.#trial) return;
    this.#trial = null;
    clearTimeout(attempt.timer);
    this.#discard(this.#active);
    this.#active = attempt;
    attempt.since = Date.now();
    if (attempt.rung === 0) this.probing.reset();
    else this.#probeLater();
    this.#become("open");
    if (!attempt.transport.greets) this.dispatchEvent(new Event("open"));
  }

  /**
   * End an attempt that says nothing, or nonsense.
   * @param {Attempt | null} attempt
   */
  #fail(attempt) {
    if (!attempt) return;
    attempt.transport.close();
    this.#lose(attempt, { code: CLOSE.LOST, retryAfter: 0 });
  }

  /**
   * @param {Attempt} attempt
   * @param {{code: number, retryAfter: number}} end
   */
  #lose(attempt, { code, retryAfter }) {
    if (attempt !== this.#active && attempt !== this.#trial) return;
    if (code === CLOSE.TOO_MANY) [this.backoff, this.probing].forEach((waits) => waits.giveWay());
    if (isTerminal(code)) {
      this.close();
      this.dispatchEvent(new CustomEvent("end", { detail: { code } }));
    } else if (attempt === this.#active) {
      if (Date.now() - attempt.since >= STEADY) this.backoff.reset();
      this.#wait(retryAfter);
    } else {
      this.#discard(attempt);
      this.#trial = null;
      if (this.#active) this.#probeLater();
      else if (attempt.rung + 1 < this.ladder.length) this.#try(attempt.rung + 1, PROBE_PATIENCE);
      else this.#wait(retryAfter);
    }
  }

  /** @param {number} atLeast  ms */
  #wait(atLeast) {
    this.#rest();
    this.#timer = setTimeout(() => this.#climb(), Math.max(atLeast, this.backoff.next()));
    this.#become("waiting");
  }

  #probeLater() {
    clearTimeout(this.#probeTimer);
    this.#probeTimer = setTimeout(() => this.#probe(), this.probing.next());
  }

  #probe() {
    if (this.#active && this.#active.rung > 0 && !this.#trial) this.#try(0, PROBE_PATIENCE);
  }

  /** The network or the reader is back: waiting longer helps nobody. */
  #return() {
    if (this.state !== "waiting") return false;
    this.#climb();
    return true;
  }

  #rest() {
    clearTimeout(this.#timer);
    clearTimeout(this.#probeTimer);
    this.liveness.stop();
    const [active, trial] = [this.#active, this.#trial];
    this.#active = this.#trial = null;
    this.#discard(active);
    this.#discard(trial);
  }

  /** @param {Attempt | null} attempt */
  #discard(attempt) {
    if (!attempt) return;
    clearTimeout(attempt.timer);
    attempt.transport.close();
  }

  /** @param {State} state */
  #become(state) {
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}
