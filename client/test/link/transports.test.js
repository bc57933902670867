import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { now } from "../../src/platform/clock.js";
import { PollTransport } from "../../src/link/transports/poll.js";
import { PushTransport } from "../../src/link/transports/push.js";
import { clock } from "../kit/clock.js";
import { at, changes, FakeEventSource, FakeFetch, FakePage, FakeWebSocket, globals, settled } from "../kit/helpers.js";

const src = "https://example.org/notify/";

/** @param {PollTransport | PushTransport} transport */
function log(transport) {
  /** @type {any[]} */
  const events = [];
  transport.on("open", () => events.push("open"));
  transport.on("message", ({ data }) => events.push(data));
  transport.on("close", ({ code, _retryAfter: retryAfter }) => events.push([code, retryAfter]));
  return events;
}

beforeEach(() => {
  FakeWebSocket.all = [];
  FakeEventSource.all = [];
});

/** @param {() => string | null} cursor @param {object} [more] */
function socketTransport(cursor, more) {
  const options = { name: "websocket", Source: /** @type {any} */ (FakeWebSocket), path: "ws/", src: "wss://example.org/notify/", cursor };
  return new PushTransport({ ...options, ...more });
}

/** @param {() => string | null} cursor @param {object} [more] */
function streamTransport(cursor, more) {
  const options = { name: "sse", Source: /** @type {any} */ (FakeEventSource), path: "stream/", src, cursor, _reader: never };
  return new PushTransport({ ...options, ...more });
}

/** @param {string | null} cursor */
function socket(cursor = at(41)) {
  const transport = socketTransport(() => cursor);
  const events = log(transport);
  transport.open();
  return { transport, events, server: FakeWebSocket.last };
}

test("a socket asks from the cursor, or for a snapshot without one", () => {
  assert.equal(socket().server.url.href, `wss://example.org/notify/ws/?since=${encodeURIComponent(at(41))}`);
  assert.equal(socket(null).server.url.href, "wss://example.org/notify/ws/");
});

test("a socket's life: open, message, close", () => {
  const { events, server } = socket();
  server.accept();
  server.push("text");
  server.end(4501);
  assert.deepEqual(events, ["open", "text", [4501, 0]]);
});

test("a document is sent only while the socket is open", () => {
  const { transport, server } = socket();
  assert.equal(transport.send({ type: "ping" }), false);
  server.accept();
  assert.equal(transport.send({ type: "ping" }), true);
  server.end(1006);
  assert.equal(transport.send({ type: "ping" }), false);
  assert.deepEqual(server.sent, [{ type: "ping" }]);
});

test("a socket that was closed emits nothing more", () => {
  const { transport, events, server } = socket();
  server.accept();
  transport.close();
  server.push("late");
  server.end(1000);
  assert.deepEqual([events, server.closedWith], [["open"], 1000]);
});

test("a page that forbids sockets is like a socket that ends", async () => {
  const WebSocket = class {
    constructor() {
      throw new Error("SecurityError");
    }
  };
  const transport = socketTransport(() => null, { Source: WebSocket });
  const events = log(transport);
  transport.open();
  await settled();
  assert.deepEqual(events, [[1006, 0]]);
});

/** @param {import("node:test").TestContext} t */
function poll(t, { cursor = /** @type {string | null} */ (at(41)) } = {}) {
  clock.start(t);
  const [web, document] = [new FakeFetch(), new FakePage()];
  globals({ fetch: web.fetch });
  t.mock.method(Math, "random", () => 0.5);
  const state = { cursor };
  const transport = new PollTransport({ src, cursor: () => state.cursor, interval: 5, document });
  const events = log(transport);
  transport.open();
  return { transport, events, web, document, state, clock };
}

test("a poll asks with the session's cookie, past every cache", (t) => {
  const { web } = poll(t);
  assert.equal(web.last.url.href, `${src}changes/?since=${encodeURIComponent(at(41))}`);
  const { signal, ...options } = web.last.options;
  assert.deepEqual(options, { cache: "no-store" });
});

test("a poll without a cursor asks for a snapshot", (t) => {
  assert.equal(poll(t, { cursor: null }).web.last.url.href, `${src}changes/`);
});

test("the first answer opens the transport, even without news; the next is requested in due time", async (t) => {
  const { web, events, clock, state } = poll(t);
  await web.last.answer(204);
  assert.deepEqual(events, ["open"]);
  state.cursor = at(50);
  clock.tick(4_999);
  assert.equal(web.calls.length, 1);
  clock.tick(1);
  assert.equal(web.last.url.searchParams.get("since"), at(50));
  const document = changes(50, 51);
  await web.last.answer(200, document);
  assert.deepEqual(events, ["open", JSON.stringify(document)]);
});

test("one question at a time: another one is sent after the answer", async (t) => {
  const { transport, web } = poll(t);
  transport.ask();
  transport.ask();
  assert.equal(web.calls.length, 1);
  await web.last.answer(204);
  assert.equal(web.calls.length, 2);
  await web.last.answer(204);
  assert.equal(web.calls.length, 2);
  transport.ask();
  assert.equal(web.calls.length, 3);
});

test("a hidden tab asks six times less often, and at once when it is shown", async (t) => {
  const { transport, web, document, clock } = poll(t);
  document.hidden = true;
  await web.last.answer(204);
  clock.tick(29_999);
  assert.equal(web.calls.length, 1);
  document.hidden = false;
  transport.wake();
  assert.equal(web.calls.length, 2);
  document.hidden = true;
  await web.last.answer(204);
  clock.tick(30_000);
  assert.equal(web.calls.length, 3);
});

for (const status of [401, 403]) {
  test(`the status ${status} is terminal`, async (t) => {
    const { web, events, clock } = poll(t);
    await web.last.answer(status, {});
    clock.tick(100_000);
    assert.deepEqual([events, web.calls.length], [[[4501, 0]], 1]);
  });
}

test("a login page to which a middleware redirects means not signed in, another redirect means nothing", async (t) => {
  const html = { "Content-Type": "text/html; charset=utf-8" };
  const first = poll(t);
  await first.web.last.answer(200, "<!doctype html>", html, true);
  assert.deepEqual(first.events, [[4501, 0]]);
  const second = poll(t);
  await second.web.last.answer(200, changes(41, 42), { "Content-Type": "application/json" }, true);
  assert.deepEqual(second.events, ["open", JSON.stringify(changes(41, 42))]);
  const third = poll(t);
  await third.web.last.answer(502, "<!doctype html>", html);
  assert.deepEqual(third.events, [[1006, 0]]);
});

test("a failing server and a failing network end the transport", async (t) => {
  const first = poll(t);
  await first.web.last.answer(500, "");
  assert.deepEqual(first.events, [[1006, 0]]);
  const second = poll(t);
  await second.web.last.fail();
  assert.deepEqual(second.events, [[1006, 0]]);
});

test("Retry-After is passed on, in seconds and as a date", async (t) => {
  const first = poll(t);
  await first.web.last.answer(503, "", { "Retry-After": "120" });
  assert.deepEqual(first.events, [[1006, 120_000]]);
  const second = poll(t);
  const [date, then] = [5_000_000, 5_090_000].map((time) => new Date(time).toUTCString());
  await second.web.last.answer(429, "", { "Retry-After": then, Date: date });
  assert.deepEqual(second.events, [[1006, 90_000]], "by the server's clock, because ours may be wrong");
  const third = poll(t);
  await third.web.last.answer(429, "", { "Retry-After": then });
  assert.deepEqual(third.events, [[1006, 0]]);
});

test("a closed poll aborts its question and emits nothing more", async (t) => {
  const { transport, web, events, clock } = poll(t);
  transport.close();
  assert.equal(web.last.options.signal.aborted, true);
  await settled();
  clock.tick(100_000);
  transport.ask();
  assert.deepEqual([events, web.calls.length], [[], 1]);
});

test("a poll that a listener closes sends no more questions", async (t) => {
  const { transport, web } = poll(t);
  transport.on("message", () => transport.close());
  transport.ask();
  await web.last.answer(200, changes(41, 42));
  assert.equal(web.calls.length, 1);
});

test("a question that is not answered for half a minute is lost", async (t) => {
  const { web, events, clock } = poll(t);
  clock.tick(30_000);
  await settled();
  assert.equal(web.last.options.signal.aborted, true);
  assert.deepEqual(events, [[1006, 0]]);
});

/** @param {PollTransport | PushTransport} transport */
function answers(transport) {
  /** @type {boolean[]} */
  const own = [];
  transport.on("message", (received) => own.push(received.own));
  return own;
}

test("the first document of a socket answers its own question, no other does", () => {
  const { transport, server } = socket();
  const own = answers(transport);
  server.push("welcome");
  server.push("changes");
  assert.deepEqual(own, [true, false]);
});

for (const kind of /** @type {const} */ (["socket", "stream", "poll"])) {
  test(`a ${kind} that asked without a cursor does not answer a tab that has one by now`, async (t) => {
    const state = { cursor: /** @type {string | null} */ (null) };
    const cursor = () => state.cursor;
    const web = new FakeFetch();
    globals({ fetch: web.fetch });
    const transport = {
      socket: () => socketTransport(cursor),
      stream: () => streamTransport(cursor),
      poll: () => new PollTransport({ src, cursor, document: new FakePage() }),
    }[kind]();
    const own = answers(transport);
    transport.open();
    state.cursor = at(42);
    if (kind === "socket") FakeWebSocket.last.push("welcome");
    if (kind === "stream") FakeEventSource.last.push("welcome");
    if (kind === "poll") await web.last.answer(200, "snapshot");
    transport.close();
    assert.deepEqual(own, [false]);
  });
}

test("a socket knows when it last carried anything", (t) => {
  clock.start(t, 1_000);
  const { transport, server } = socket();
  server.accept();
  server.push("welcome");
  assert.equal(transport._used, now());
  clock.set(2_000);
  transport.send({});
  assert.equal(transport._used, now());
});

/** @returns {never} */
function never() {
  throw new Error("Nothing is read beside the stream");
}

/** @param {{cursor?: string | null, reader?: () => any}} [options] */
function stream({ cursor = at(41), reader = never } = {}) {
  const transport = streamTransport(() => cursor, { _reader: reader });
  const events = log(transport);
  transport.open();
  return { transport, events, server: FakeEventSource.last };
}

test("a stream asks from the cursor, or for a snapshot without one", () => {
  assert.equal(stream().server.url.href, `${src}stream/?since=${encodeURIComponent(at(41))}`);
  assert.equal(stream({ cursor: null }).server.url.href, `${src}stream/`);
});

test("a stream's life: open, documents and pings, and the server's reason at its end", () => {
  const { transport, events, server } = stream();
  const own = answers(transport);
  server.dispatchEvent(new Event("open"));
  server.push("welcome");
  server.push("ping", "ping");
  server.push("changes");
  server.push('{"type": "close", "code": 4504}', "close");
  server.dispatchEvent(new Event("error"));
  assert.deepEqual(events, ["open", "welcome", "ping", "changes", [4504, 0]]);
  assert.deepEqual([own, server.closed], [[true, false, false], true]);
});

/** @param {FakeFetch} web */
function readsFrom(web) {
  globals({ fetch: web.fetch });
  return () => new PollTransport({ src, cursor: () => at(41), interval: Infinity, document: new FakePage() });
}

for (const [status, code] of [
  [401, 4501],
  [204, 1006],
  [503, 1006],
]) {
  test(`a stream that is refused asks a read for the reason, and is answered ${status}`, async (t) => {
    clock.start(t);
    const web = new FakeFetch();
    const { events, server } = stream({ reader: readsFrom(web) });
    server.dispatchEvent(new Event("error"));
    clock.tick(1);
    assert.deepEqual([events, server.closed, web.calls.length], [[], true, 1]);
    await web.last.answer(status, status === 204 ? undefined : {});
    assert.deepEqual(events, [[code, 0]]);
  });
}

test("a stream that breaks is lost, and its source does not try again", (t) => {
  clock.start(t);
  const { events, server } = stream();
  server.push("welcome");
  server.readyState = 0;
  server.dispatchEvent(new Event("error"));
  clock.tick(1);
  assert.deepEqual([events, server.closed], [["welcome", [1006, 0]], true]);
});

test("a stream that the browser breaks because the page is left is closed, not lost", (t) => {
  clock.start(t);
  const { transport, events, server } = stream();
  server.dispatchEvent(new Event("error"));
  transport.close();
  clock.tick(1);
  assert.deepEqual([events, server.closed], [[], true]);
});

test("a closed stream emits nothing more", () => {
  const { transport, events, server } = stream();
  transport.close();
  server.push("late");
  server.dispatchEvent(new Event("error"));
  assert.deepEqual([events, server.closed], [[], true]);
});

test("a browser without streams, or a page that forbids them, is like a stream that ends", async () => {
  const transport = streamTransport(() => null, { Source: undefined });
  const events = log(transport);
  transport.open();
  assert.deepEqual(events, []);
  await settled();
  assert.deepEqual(events, [[1006, 0]]);
});

test("a question to a stream is asked beside it, and its answer counts as the stream's", async () => {
  const web = new FakeFetch();
  globals({ fetch: web.fetch });
  const reader = () => new PollTransport({ src, cursor: () => at(41), interval: Infinity, document: new FakePage() });
  const { transport, events } = stream({ reader });
  const own = answers(transport);
  transport.ask();
  await web.last.answer(200, "rows");
  transport.ask();
  await web.last.answer(401, {});
  assert.deepEqual([events, own, web.calls.length], [["rows", [4501, 0]], [true], 2]);
});

test("a closed stream closes the reader beside it", () => {
  const web = new FakeFetch();
  globals({ fetch: web.fetch });
  const reader = () => new PollTransport({ src, cursor: () => at(41), interval: Infinity, document: new FakePage() });
  const { transport } = stream({ reader });
  transport.ask();
  transport.close();
  assert.equal(web.last.options.signal.aborted, true);
});

test("a reader that reads only when asked sets no timer", async (t) => {
  clock.start(t);
  const web = new FakeFetch();
  globals({ fetch: web.fetch });
  const reader = new PollTransport({ src, cursor: () => at(41), interval: Infinity, document: new FakePage() });
  reader.open();
  await web.last.answer(204);
  clock.tick(1_000_000_000);
  assert.equal(web.calls.length, 1);
  reader.close();
});

/** @param {import("node:test").TestContext} t */
function longpoll(t, keepBusy = Infinity) {
  clock.start(t);
  const [web, document] = [new FakeFetch(), new FakePage()];
  globals({ fetch: web.fetch });
  const transport = new PollTransport({ src, cursor: () => at(41), document, hold: () => keepBusy });
  const events = log(transport);
  transport.open();
  const wait = () => web.last.url.searchParams.get("wait");
  return { transport, events, web, document, wait, clock };
}

test("a long poll asks once without waiting, then holds one question after another", async (t) => {
  const { events, web, wait, clock } = longpoll(t);
  assert.deepEqual([wait(), web.last.url.searchParams.get("since")], ["0", at(41)]);
  await web.last.answer(204);
  assert.deepEqual(events, ["open"]);
  for (const asked of [2, 3]) {
    clock.tick(250);
    assert.deepEqual([wait(), web.calls.length], ["25", asked]);
    clock.tick(20_000);
    await web.last.answer(200, "rows");
    clock.tick(0);
  }
  assert.deepEqual([events, web.calls.length], [["open", "rows", "rows"], 4]);
});

test("a server that does not hold its answers is asked four times a second at the most", async (t) => {
  const { web, clock } = longpoll(t);
  for (let second = 0; second < 4; second += 1) {
    await web.last.answer(204);
    clock.tick(249);
    assert.equal(web.calls.length, second + 1);
    clock.tick(1);
    assert.equal(web.calls.length, second + 2);
  }
});

test("a long poll is held no longer than the network allows a silent connection", async (t) => {
  const { web, wait, clock } = longpoll(t, 5_900);
  await web.last.answer(204);
  clock.tick(250);
  assert.equal(wait(), "5");
});

test("a held question may take its wait and ten seconds", async (t) => {
  const { web, events, clock } = longpoll(t);
  await web.last.answer(204);
  clock.tick(250);
  clock.tick(34_999);
  await settled();
  assert.deepEqual(events, ["open"]);
  clock.tick(1);
  await settled();
  assert.deepEqual(events, ["open", [1006, 0]]);
});

for (const status of [200, 204]) {
  test(`a ${status} that says when to ask again was not held: no long polling here`, async (t) => {
    const { web, events } = longpoll(t);
    await web.last.answer(status, status === 200 ? changes(41, 42) : undefined, { "Retry-After": "5" });
    assert.deepEqual(events, [[1006, 5_000]]);
  });
}

test("a wall clock that is set back does not delay the next question", async (t) => {
  for (const make of [poll, longpoll]) {
    const { web, clock } = make(t);
    await web.last.answer(204);
    clock.tick(10_000);
    const before = web.calls.length;
    clock.step(-3_600_000);
    await web.last.answer(204);
    clock.tick(10_000);
    assert.equal(web.calls.length, before + 1);
  }
});

test("after a sleep an overdue question is asked again, and one that is not overdue is awaited", async (t) => {
  const { transport, events, web, clock } = longpoll(t);
  await web.last.answer(204);
  clock.tick(250);
  transport.wake();
  assert.equal(web.calls.length, 2);
  clock.set(Date.now() + 600_000);
  const old = web.last;
  transport.wake();
  assert.deepEqual([web.calls.length, old.options.signal.aborted], [3, true]);
  await settled();
  assert.deepEqual(events, ["open"]);
});

for (const [code, close] of /** @type {[string, number][]} */ ([["kicked", 4504], ["foreign_origin", 4503], ["not_signed_in", 4501], ["toString", 4501]])) {
  test(`a refusal by HTTP means what the close code means: ${code}`, async (t) => {
    const { web, events } = poll(t);
    await web.last.answer(403, { type: "error", ref: null, code, message: "" });
    assert.deepEqual(events, [[close, 0]]);
  });
}

test("a full server refuses by HTTP as well", async (t) => {
  const { web, events } = poll(t);
  await web.last.answer(503, { type: "error", ref: null, code: "too_many", message: "" }, { "Retry-After": "30" });
  assert.deepEqual(events, [[4002, 30_000]]);
});
