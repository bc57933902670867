import { Backoff } from "./backoff.js";
import { now } from "../platform/clock.js";
import { Emitter, listen } from "../platform/emitter.js";
import { Timer } from "../platform/timer.js";
import { Liveness } from "./liveness.js";
import { CLOSE, isOrderly, isTerminal, parse, reasonOf } from "../protocol.js";
import { Race } from "./race.js";

/**
 * @import { Network } from "./network.js"
 * @import { Document } from "../protocol.js"
 * @import { Received, Transport } from "./transports/transport.js"
 *
 * @typedef {"connecting" | "open" | "waiting" | "closed"} State
 * @typedef {object} Rung
 * @property {string[]} names  that its transport may have; how it did under another name is not remembered
 * @property {() => Transport} _make
 * @property {number} [_strikes]  how often in a row it broke soon; outlives a connection, if its ladder does
 * @property {number} [_avoidedUntil]
 * @typedef {object} Attempt
 * @property {Transport} transport
 * @property {number} _rung
 * @property {number} _since  when it was adopted
 * @property {number} _received  when its last document came
 */

/** A connection that lasted this long was a good one, so the backoff starts again at its lowest. */
const STEADY = 5_000;

/** A connection that ended sooner than this counts as a strike against its rung. */
const SHORT = 30_000;

/** After so many strikes in a row a rung is avoided, for so many ms. */
const STRIKES = 3;
const AVOIDED = 10 * 60_000;

/**
 * Keeps one transport of a ladder open, the best that works.
 *
 * A transport is adopted only once it is healthy, that is, once its first
 * document has come: some proxies open sockets that carry nothing. A slow
 * transport is overtaken by the next (see `Race`). From a lower rung the better
 * ones are probed in the background, and one that keeps breaking is avoided for
 * a while. Documents of a transport that was replaced are ignored.
 *
 * Events: `document` ({document, own}), `open` (healthy, and its first
 * document was emitted), `state`, `rename` (the transport in use has another
 * name), `doubt` (a sign of life should be requested), `lost` ({transport,
 * reason, _inUse, returns}, and if it returns also {code, _retryAfter}), `end` ({code}: closed for good).
 */
export class Connection extends Emitter {
  /** @type {State} */
  state = "closed";
  /** @type {Attempt | null} */
  #active = null;
  /** @type {Race<Attempt>} */
  #race;
  /** The rung that was tried first because it was remembered. */
  #recalled = -1;
  /** The server asked for no try before this time. */
  #notBefore = 0;
  /** Until the next try, or the next probe. */
  #timer = new Timer();
  /** @type {any} */
  #beat;
  #listening = new AbortController();
  #liveness = new Liveness(() => this.#active && this.#fail(this.#active, "timeout"));
  #backoff = new Backoff();
  #probing = new Backoff(120_000);
  #options;
  #ladder;

  /**
   * @param {object} options
   * @param {Rung[]} options.ladder  best first
   * @param {EventTarget} options.window
   * @param {EventTarget & {hidden?: boolean}} options.document
   * @param {Network} options.network
   */
  constructor(options) {
    super();
    this.#options = options;
    this.#ladder = options.ladder;
    this.#race = new Race({
      _make: (rung) => this.#make(rung),
      late: (trial) => this.#fail(trial, "timeout"),
      over: () => (this.#active ? this.#probeLater() : this.#wait()),
    });
  }

  /** The name of the transport in use, or "". */
  get transport() {
    return this.#active?.transport.name ?? "";
  }

  open() {
    if (this.state !== "closed") return;
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    const { window, document } = this.#options;
    const look = () => this.#look();
    listen(window, "online", () => this.#change(), signal);
    listen(window, "pageshow", ({ persisted }) => persisted !== false && look(), signal);
    listen(document, "visibilitychange resume", look, signal);
    this.#climb();
  }

  /** Close the transport and stop all timers. `open()` starts again. */
  close() {
    this.#listening.abort();
    this.#rest();
    this.#become("closed");
  }

  /**
   * Send a document. Returns false if the transport cannot, so that the caller sends it by other means.
   * @param {object} document
   */
  send(document) {
    return this.#active?.transport.send(document) ?? false;
  }

  /** Let a transport that reads do so now. */
  ask() {
    this.#active?.transport.ask();
  }

  /**
   * Close for good, because the server says so.
   * @param {number} code
   * @param {string} [transport]  name of the one by which it says so
   */
  end(code, transport = this.transport) {
    this._emit("lost", { transport, reason: reasonOf(code), _inUse: true, returns: false });
    this.close();
    this._emit("end", { code });
  }

  #climb() {
    this.#rest();
    this.#become("connecting");
    const winner = this.#options.network._winner;
    this.#recalled = this.#ladder.findIndex(({ names }) => names.includes(winner ?? ""));
    const rank = (/** @type {number} */ rung) => (this.#isAvoided(rung) ? 2 : rung === this.#recalled ? 0 : 1);
    this.#race.run([...this.#ladder.keys()].sort((a, b) => rank(a) - rank(b)));
  }

  /** @param {number} rung */
  #isAvoided(rung) {
    return now() < (this.#ladder[rung]._avoidedUntil ?? 0);
  }

  /** @param {number} rung */
  #make(rung) {
    const transport = this.#ladder[rung]._make();
    const attempt = { transport, _rung: rung, _since: 0, _received: 0 };
    transport.on("open", () => !transport._greets && this.#adopt(attempt));
    transport.on("message", (received) => this.#receive(attempt, received));
    transport.on("close", (closed) => this.#lose(attempt, closed));
    transport.on("rename", () => attempt === this.#active && this.#rename());
    return attempt;
  }

  /**
   * @param {Attempt} attempt
   * @param {Received} received
   */
  #receive(attempt, { data, own }) {
    if (!this.#race.has(attempt) && attempt !== this.#active) return;
    /** @type {Document | null} */
    let document;
    try {
      document = parse(data);
    } catch {
      return this.#fail(attempt, "protocol");
    }
    const isGreeting = attempt.transport._greets && document?.type === "welcome";
    // Changes that come before a greeting come from a server that sends no more after them.
    if (isGreeting) this.#adopt(attempt);
    // A ping before the welcome means that the server is alive but busy.
    else if (document?.type === "ping") this.#race._trust(attempt);
    if (attempt !== this.#active) {
      // With DEBUG, a server that refuses the page first sends a hint for its developers.
      if (document?.type === "error") console.warn(document.message);
      return;
    }
    if (isGreeting) this.#liveness.start(/** @type {any} */ (document).heartbeat);
    attempt._received = now();
    this.#liveness._alive();
    if (document) this._emit("document", { document, own });
    if (isGreeting) this._emit("open");
  }

  /** @param {Attempt} attempt */
  #adopt(attempt) {
    if (!this.#race.has(attempt)) return;
    const { transport, _rung: rung } = attempt;
    this.#race.stop(attempt);
    this.#release();
    this.#active = attempt;
    attempt._since = attempt._received = now();
    // This rung was remembered, so lately no better one worked: probe seldom.
    if (rung > 0 && rung === this.#recalled) this.#probing._giveWay();
    if (rung > 0 && !this.#race._isOn) this.#probeLater();
    this.#recalled = -1;
    const beat = this.#options.network._beat;
    // A network that cuts silent connections is given no silence, once its limit is known.
    if (beat < Infinity) this.#beat = setInterval(() => this._emit("doubt"), beat);
    this.#become("open");
    this.#rename();
    // Its first document follows within this task, so "open" is emitted after that.
    if (!transport._greets) queueMicrotask(() => attempt === this.#active && this._emit("open"));
  }

  #rename() {
    // A listener of "state" may have closed the connection.
    if (!this.#active) return;
    if (this.#ladder[this.#active._rung].names.includes(this.transport)) this.#options.network._remember(this.transport);
    this._emit("rename");
  }

  /**
   * End an attempt that sends nothing, or nonsense.
   * @param {Attempt} attempt
   * @param {string} reason
   */
  #fail(attempt, reason) {
    attempt.transport.close();
    this.#lose(attempt, { code: CLOSE.lost, _retryAfter: 0 }, reason);
  }

  /**
   * @param {Attempt} attempt
   * @param {{code: number, _retryAfter: number}} end
   * @param {string} [reason]
   */
  #lose(attempt, { code, _retryAfter: retryAfter }, reason = reasonOf(code)) {
    const inUse = attempt === this.#active;
    if (!inUse && !this.#race.has(attempt)) return;
    const transport = attempt.transport.name;
    if (isTerminal(code)) return this.end(code, transport);
    this._emit("lost", { transport, reason, _inUse: inUse, returns: true, code, _retryAfter: retryAfter });
    if (code === CLOSE.too_many) {
      this.#backoff._giveWay();
      this.#probing._giveWay();
    }
    this.#notBefore = Math.max(this.#notBefore, now() + retryAfter);
    if (!inUse) return this.#race.fail(attempt);
    this.#judge(attempt, code, reason === "timeout");
    this.#wait();
  }

  /**
   * Draw conclusions from the end of a connection, for its rung and for the network.
   * @param {Attempt} attempt
   * @param {number} code
   * @param {boolean} isSilent
   */
  #judge({ transport, _rung: rung, _since: since, _received: received }, code, isSilent) {
    const time = now();
    const place = this.#ladder[rung];
    if (time - since >= STEADY) this.#backoff.reset();
    if ((isSilent ? received : time) - since >= SHORT) {
      place._strikes = 0;
      this.#probing.reset();
    } else if (!isOrderly(code)) {
      place._strikes = (place._strikes ?? 0) + 1;
      if (place._strikes >= STRIKES) place._avoidedUntil = time + AVOIDED;
    }
    if (!isSilent && !isOrderly(code) && transport._used) this.#options.network._suspect(time - transport._used);
  }

  #wait() {
    this.#rest();
    this.#later(this.#backoff.next(), () => this.#climb());
    this.#become("waiting");
  }

  #probeLater() {
    this.#later(this.#probing.next(), () => this.#probe());
  }

  /**
   * @param {number} wait  ms
   * @param {() => void} then
   */
  #later(wait, then) {
    this.#timer.start(Math.max(wait, this.#notBefore - now()), then);
  }

  #probe() {
    if (!this.#active || this.#active._rung === 0 || this.#race._isOn || now() < this.#notBefore) return;
    this.#race.run([...this.#ladder.keys()].slice(0, this.#active._rung).filter((rung) => !this.#isAvoided(rung)));
  }

  /** The network is another one, or is back: what was learned about rungs on the last one does not hold. */
  #change() {
    for (const rung of this.#ladder) rung._strikes = rung._avoidedUntil = 0;
    this._emit("doubt");
    this.#liveness._doubt();
    this.#probe();
    this.#return();
  }

  /** The page may have slept. */
  #look() {
    this.#liveness.check();
    if (!this.#options.document.hidden) this.#return();
  }

  /** The network or the user is back, so a waiting connection tries at once. */
  #return() {
    if (this.state === "waiting" && now() >= this.#notBefore) this.#climb();
    this.#active?.transport.wake?.();
  }

  #rest() {
    this.#race.stop();
    this.#release();
  }

  #release() {
    this.#timer.stop();
    clearInterval(this.#beat);
    this.#liveness.stop();
    this.#active?.transport.close();
    this.#active = null;
  }

  /** @param {State} state */
  #become(state) {
    this.state = state;
    this._emit("state");
  }
}
