import { readFileSync } from "node:fs";
import "./custom-event.js";

/** @import { Changes, Notification } from "../../src/protocol.js" */

/**
 * A golden file, read by the Python tests as well.
 * @param {string} name
 */
export function vectors(name) {
  return JSON.parse(readFileSync(new URL(`../../../tests/vectors/${name}.json`, import.meta.url), "utf8"));
}

export const EPOCH = "0hqk3m2v00a1b2c3d";

/** @param {number} position */
export function at(position) {
  return `${EPOCH}:${position}`;
}

/**
 * @param {number} id
 * @param {number} position
 * @param {Partial<Notification>} [more]
 * @returns {Notification}
 */
export function row(id, position, more = {}) {
  const now = "2026-11-20T23:00:00.000000+00:00";
  return {
    ...{ id, position, arrived: position, level: "info", category: "", title: "", message: `Message ${id}`, url: "" },
    ...{ actions: [], data: null, key: "", count: 1, created_at: now, updated_at: now, expires_at: null },
    ...{ seen_at: null, read_at: null, archived_at: null, dismissed_at: null },
    ...more,
  };
}

/**
 * The progress of a task.
 * @param {any} [more]
 * @returns {import("../../src/protocol.js").Progress}
 */
export function progress(more = {}) {
  const rest = { message: "", attempt: 1, cancellable: false, silent: false, started_at: null, ended_at: null };
  return { state: "running", done: 0, total: null, ...rest, ...more };
}

/**
 * @param {number} since
 * @param {number} cursor
 * @param {Notification[]} [notifications]
 * @param {{head?: number, unseen?: number}} [more]
 * @returns {Changes}
 */
export function changes(since, cursor, notifications = [], { head = cursor, unseen = notifications.length } = {}) {
  return { type: "changes", since: at(since), cursor: at(cursor), head, counts: { unseen, unread: unseen }, notifications };
}

/**
 * @param {number} cursor
 * @param {Notification[]} [notifications]
 * @returns {Changes}
 */
export function snapshot(cursor, notifications = []) {
  return { ...changes(0, cursor, notifications), since: null, reset: true };
}

/** @param {Changes} document */
export function welcome(document, heartbeat = 25) {
  return { type: "welcome", version: 1, heartbeat, changes: document };
}

/** Wait until all promises that are resolved already have run their callbacks. */
export async function settled() {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

/**
 * Set global names of the page.
 * @param {Record<string, unknown>} values  by name
 */
export function globals(values) {
  for (const [name, value] of Object.entries(values)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}

/** Make both storages throw, as browsers do if cookies are blocked. */
export function forbidStorage() {
  const get = () => {
    throw new Error("SecurityError");
  };
  for (const name of ["localStorage", "sessionStorage"]) Object.defineProperty(globalThis, name, { get, configurable: true });
}

/** A window and a document, as far as this client uses them. */
export class FakePage extends EventTarget {
  hidden = false;
  cookie = "";
  focused = true;
  hasFocus() {
    return this.focused;
  }
  /** @param {string} type */
  fire(type) {
    this.dispatchEvent(new Event(type));
  }
}

/** A WebSocket whose other end is the test. */
export class FakeWebSocket extends EventTarget {
  /** @type {FakeWebSocket[]} */
  static all = [];
  readyState = 0;
  /** @type {any[]} */
  sent = [];
  /** @type {number | undefined} */
  closedWith = undefined;

  /** @param {URL} url */
  constructor(url) {
    super();
    this.url = url;
    FakeWebSocket.all.push(this);
  }

  static get last() {
    return /** @type {FakeWebSocket} */ (FakeWebSocket.all.at(-1));
  }

  /** @param {string} text */
  send(text) {
    this.sent.push(JSON.parse(text));
  }

  /** @param {number} [code] */
  close(code) {
    this.closedWith = code;
    this.readyState = 3;
  }

  /** The server accepts. */
  accept() {
    this.readyState = 1;
    this.dispatchEvent(new Event("open"));
  }

  /** @param {unknown} document */
  push(document) {
    this.dispatchEvent(new MessageEvent("message", { data: typeof document === "string" ? document : JSON.stringify(document) }));
  }

  /** @param {number} code */
  end(code) {
    this.readyState = 3;
    this.dispatchEvent(Object.assign(new Event("close"), { code }));
  }
}

/** An EventSource whose other end is the test. */
export class FakeEventSource extends EventTarget {
  /** @type {FakeEventSource[]} */
  static all = [];
  readyState = 1;
  closed = false;

  /** @param {URL} url */
  constructor(url) {
    super();
    this.url = url;
    FakeEventSource.all.push(this);
  }

  static get last() {
    return /** @type {FakeEventSource} */ (FakeEventSource.all.at(-1));
  }

  close() {
    this.closed = true;
  }

  /** @param {string} data */
  push(data, type = "message") {
    this.dispatchEvent(new MessageEvent(type, { data }));
  }
}

/** A fetch that waits until the test answers. */
export class FakeFetch {
  /** @type {{url: URL, options: any, answer: (status: number, body?: unknown, headers?: Record<string, string>, redirected?: boolean) => Promise<void>, fail: () => Promise<void>}[]} */
  calls = [];

  get last() {
    const call = this.calls.at(-1);
    if (!call) throw new Error("Nothing was fetched");
    return call;
  }

  /** @type {any} */
  fetch = (/** @type {URL} */ url, /** @type {any} */ options) =>
    new Promise((resolve, reject) => {
      options.signal?.addEventListener("abort", () => reject(new Error("aborted")));
      this.calls.push({
        url,
        options,
        answer: (status, body, headers = {}, redirected = false) => {
          const text = body === undefined ? null : typeof body === "string" ? body : JSON.stringify(body);
          resolve(Object.defineProperty(new Response(text, { status, headers }), "redirected", { value: redirected }));
          // Node reads a body in later turns of the event loop, which the fake clock does not run.
          return new Promise((done) => setImmediate(() => setImmediate(() => done(undefined))));
        },
        fail: () => {
          reject(new TypeError("network"));
          return settled();
        },
      });
    });
}

/** A storage in memory. */
export class FakeStorage {
  /** @type {Map<string, string>} */
  items = new Map();
  /** @param {string} key */
  getItem(key) {
    return this.items.get(key) ?? null;
  }
  /** @param {string} key @param {string} value */
  setItem(key, value) {
    this.items.set(key, value);
  }
  /** @param {string} key */
  removeItem(key) {
    this.items.delete(key);
  }
}

/**
 * A list to which the details of the events of one type are added as they come.
 * @param {EventTarget} target
 * @param {string} type
 * @returns {any[]}
 */
export function eventsOf(target, type) {
  /** @type {any[]} */
  const details = [];
  target.addEventListener(type, (event) => details.push(/** @type {any} */ (event).detail));
  return details;
}
