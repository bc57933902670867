import { Backoff } from "./backoff.js";
import { Emitter, listen } from "../platform/emitter.js";
import { Liveness } from "./liveness.js";
import { CLOSE, isOrderly, isTerminal, parse, reasonOf } from "../protocol.js";
import { Race } from "./race.js";

/**
 * Keeps one transport of a ladder open, the best that can be had.
 *
 * A transport counts only once it is healthy, that is, has given its first
 * document: some proxies open sockets that carry nothing. Those that take long
 * are overtaken (see `Race`); from a lower rung the better ones are probed in
 * the background, and one that keeps breaking is left alone for a while. What
 * an earlier transport still says is not heard.
 *
 * Events: `document` ({document, own, text}), `open` (healthy, and what it had
 * to say is said), `state`, `rename` (the transport in use has another name),
 * `doubt` (ask for a sign of life), `lost` ({transport, reason, inUse,
 * returns}), `end` ({code}: closed for good).
 *
 * @import { Network } from "./network.js"
 * @import { Document } from "../protocol.js"
 * @import { Heard, Transport } from "./transports/transport.js"
 *
 * @typedef {"connecting" | "open" | "waiting" | "closed"} State
 * @typedef {{names: string[], make: () => Transport}} Rung  names: what its transport may be called; how it went under another is not remembered
 * @typedef {object} Attempt
 * @property {Transport} transport
 * @property {number} rung
 * @property {number} since  when it was adopted
 * @property {number} heard  when it last said anything
 */

/** A connection that lasted this long was a good one: the backoff starts anew. */
const STEADY = 5_000;

/** One that ended sooner counts against its rung. */
const SHORT = 30_000;

/** After so many in a row, a rung is left alone for a while. */
const STRIKES = 3;
const AVOIDED = 10 * 60_000;

export class Connection extends Emitter {
  /** @type {State} */
  state = "closed";
  /** @type {Attempt | null} */
  #active = null;
  /** @type {Race<Attempt>} */
  #race;
  /** The rung that was not found but remembered. */
  #recalled = -1;
  /** What the server asks for: no try before that. */
  #notBefore = 0;
  /** For the next try, or the next probe. @type {any} */
  #timer;
  /** @type {any} */
  #beat;
  /** @type {AbortController | null} */
  #listening = null;

  /**
   * @param {object} options
   * @param {Rung[]} options.ladder  best first
   * @param {EventTarget} options.window
   * @param {EventTarget & {hidden?: boolean}} options.document
   * @param {Backoff} [options.backoff]
   * @param {Backoff} [options.probing]
   * @param {Network} options.network
   */
  constructor({ ladder, window, document, backoff = new Backoff(), probing = new Backoff({ most: 120_000 }), network }) {
    super();
    // What is noted of a rung outlives this connection, if its ladder does.
    this.ladder = ladder.map((rung) => Object.assign(rung, { strikes: 0, avoidedUntil: 0, ...rung }));
    this.window = window;
    this.document = document;
    this.backoff = backoff;
    this.probing = probing;
    this.network = network;
    this.liveness = new Liveness(() => this.#active && this.#fail(this.#active, "timeout"));
    this.#race = new Race({
      make: (rung) => this.#make(rung),
      late: (trial) => this.#fail(trial, "timeout"),
      over: () => (this.#active ? this.#probeLater() : this.#wait()),
    });
  }

  /** The name of the transport in use, or "". */
  get transport() {
    return this.#active?.transport.name ?? "";
  }

  open() {
    if (this.#listening) return;
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    const look = () => this.#look();
    listen(this.window, "online", () => this.#change(), signal);
    listen(this.window, "pageshow", ({ persisted }) => persisted !== false && look(), signal);
    listen(this.document, "visibilitychange resume", look, signal);
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
    const { winner } = this.network;
    this.#recalled = this.ladder.findIndex(({ names }) => names.includes(winner ?? ""));
    const rank = (/** @type {number} */ rung) => (this.#isAvoided(rung) ? 2 : rung === this.#recalled ? 0 : 1);
    this.#race.run([...this.ladder.keys()].sort((a, b) => rank(a) - rank(b)));
  }

  /** @param {number} rung */
  #isAvoided(rung) {
    return Date.now() < this.ladder[rung].avoidedUntil;
  }

  /** @param {number} rung */
  #make(rung) {
    const transport = this.ladder[rung].make();
    const attempt = { transport, rung, since: 0, heard: 0 };
    transport.on("open", () => !transport.greets && this.#adopt(attempt));
    transport.on("message", (heard) => this.#hear(attempt, heard));
    transport.on("close", (closed) => this.#lose(attempt, closed));
    transport.on("rename", () => attempt === this.#active && this.#rename());
    return attempt;
  }

  /**
   * @param {Attempt} attempt
   * @param {Heard} heard
   */
  #hear(attempt, { data: text, own }) {
    if (!this.#race.has(attempt) && attempt !== this.#active) return;
    /** @type {Document | null} */
    let document;
    try {
      document = parse(text);
    } catch {
      return this.#fail(attempt, "protocol");
    }
    const isGreeting = attempt.transport.greets && document?.type === "welcome";
    // Changes without a greeting are from somebody who does not go on.
    if (isGreeting) this.#adopt(attempt);
    // Before its welcome: it is welcome, and the server is busy.
    else if (document?.type === "ping") this.#race.trust(attempt);
    if (attempt !== this.#active) return;
    if (isGreeting) this.liveness.start(/** @type {any} */ (document).heartbeat);
    attempt.heard = Date.now();
    this.liveness.alive();
    if (document) this.emit("document", { document, own, text });
    if (isGreeting) this.emit("open");
  }

  /** @param {Attempt} attempt */
  #adopt(attempt) {
    if (!this.#race.has(attempt)) return;
    const { transport, rung } = attempt;
    this.#race.win(attempt);
    this.#release();
    this.#active = attempt;
    attempt.since = attempt.heard = Date.now();
    // It was so lately that nothing better could be had.
    if (rung > 0 && rung === this.#recalled) this.probing.giveWay();
    if (rung > 0 && !this.#race.isOn) this.#probeLater();
    this.#recalled = -1;
    const { beat } = this.network;
    // Some links cut what is silent; where it is known when, nothing is.
    if (beat < Infinity) this.#beat = setInterval(() => this.emit("doubt"), beat);
    this.#become("open");
    this.#rename();
    // What it has to say follows right after.
    if (!transport.greets) queueMicrotask(() => attempt === this.#active && this.emit("open"));
  }

  #rename() {
    // Whoever heard that it is open may have closed it.
    if (!this.#active) return;
    if (this.ladder[this.#active.rung].names.includes(this.transport)) this.network.remember(this.transport);
    this.emit("rename");
  }

  /**
   * End an attempt that says nothing, or nonsense.
   * @param {Attempt} attempt
   * @param {string} reason
   */
  #fail(attempt, reason) {
    attempt.transport.close();
    this.#lose(attempt, { code: CLOSE.LOST, retryAfter: 0 }, reason);
  }

  /**
   * @param {Attempt} attempt
   * @param {{code: number, retryAfter: number}} end
   * @param {string} [reason]
   */
  #lose(attempt, { code, retryAfter }, reason = reasonOf(code)) {
    const inUse = attempt === this.#active;
    if (!inUse && !this.#race.has(attempt)) return;
    const returns = !isTerminal(code);
    this.emit("lost", { transport: attempt.transport.name, reason, inUse, returns, code, retryAfter });
    if (!returns) {
      this.close();
      return this.emit("end", { code });
    }
    if (code === CLOSE.TOO_MANY) [this.backoff, this.probing].forEach((waits) => waits.giveWay());
    this.#notBefore = Math.max(this.#notBefore, Date.now() + retryAfter);
    if (!inUse) return this.#race.fail(attempt);
    this.#judge(attempt, code, reason === "timeout");
    this.#wait();
  }

  /**
   * What the end of a connection says about it.
   * @param {Attempt} attempt
   * @param {number} code
   * @param {boolean} isSilent
   */
  #judge({ transport, rung, since, heard }, code, isSilent) {
    const now = Date.now();
    const place = this.ladder[rung];
    if (now - since >= STEADY) this.backoff.reset();
    if ((isSilent ? heard : now) - since >= SHORT) {
      place.strikes = 0;
      this.probing.reset();
    } else if (!isOrderly(code)) {
      place.strikes += 1;
      if (place.strikes >= STRIKES) place.avoidedUntil = now + AVOIDED;
    }
    if (isSilent || isOrderly(code)) return;
    if (transport.used) this.network.suspect(now - transport.used);
  }

  #wait() {
    this.#rest();
    this.#later(this.backoff.next(), () => this.#climb());
    this.#become("waiting");
  }

  #probeLater() {
    this.#later(this.probing.next(), () => this.#probe());
  }

  /**
   * @param {number} wait  ms
   * @param {() => void} then
   */
  #later(wait, then) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, Math.max(wait, this.#notBefore - Date.now()));
  }

  #probe() {
    if (!this.#active || this.#active.rung === 0 || this.#race.isOn || Date.now() < this.#notBefore) return;
    this.#race.run([...this.ladder.keys()].slice(0, this.#active.rung).filter((rung) => !this.#isAvoided(rung)));
  }

  /** Another network, or one at all: what was learned of the last one does not count. */
  #change() {
    for (const rung of this.ladder) rung.strikes = rung.avoidedUntil = 0;
    this.emit("doubt");
    this.liveness.doubt();
    if (this.#return()) return;
    this.#probe();
    this.#active?.transport.wake?.();
  }

  /** The page may have slept. */
  #look() {
    this.liveness.check();
    if (!this.document.hidden && !this.#return()) this.#active?.transport.wake?.();
  }

  /** The network or the reader is back: waiting longer helps nobody. */
  #return() {
    if (this.state !== "waiting" || Date.now() < this.#notBefore) return false;
    this.#climb();
    return true;
  }

  #rest() {
    this.#race.stop();
    this.#release();
  }

  #release() {
    clearTimeout(this.#timer);
    clearInterval(this.#beat);
    this.liveness.stop();
    const active = this.#active;
    this.#active = null;
    active?.transport.close();
  }

  /** @param {State} state */
  #become(state) {
    this.state = state;
    this.emit("state");
  }
}
