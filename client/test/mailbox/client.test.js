import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Client } from "../../src/mailbox/client.js";
import { FakeBrowser } from "../kit/browser.js";
import { at, changes, EPOCH, FakeEventSource, FakeFetch, FakePage, FakeStorage, FakeWebSocket, globals, heard, row, settled, snapshot, welcome } from "../kit/helpers.js";

beforeEach(() => {
  FakeWebSocket.all = [];
});

/** @param {import("node:test").TestContext} t */
function client(t, transports = ["websocket", "poll"], user = "") {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: 1_000_000 });
  const [web, window, document] = [new FakeFetch(), new FakePage(), new FakePage()];
  document.cookie = "a=b; token=s%3Dcret; c=d";
  new FakeBrowser();
  globals({ fetch: web.fetch, WebSocket: FakeWebSocket, EventSource: FakeEventSource, localStorage: new FakeStorage() });
  t.mock.method(Math, "random", () => 0);
  const page = { header: /** @type {string | null} */ (null) };
  const subject = new Client({
    ...{ src: "https://example.org/notify/", transports, user, window, document, pollInterval: 5 },
    csrf: () => ({ cookie: "token", header: "X-CSRFToken", token: page.header }),
  });
  subject.open();
  return {
    ...{ subject, web, window, document, page, clock: t.mock.timers },
    news: heard(subject, "notification"),
    errors: heard(subject, "error"),
    counts: heard(subject, "counts"),
    get server() {
      return FakeWebSocket.last;
    },
  };
}

/** @param {import("node:test").TestContext} t */
function connected(t) {
  const it = client(t);
  it.server.accept();
  it.server.say(welcome(snapshot(41, [row(1, 41)])));
  return it;
}

test("new content is told once", (t) => {
  const it = connected(t);
  it.server.say(changes(41, 42, [row(2, 42)]));
  it.server.say(changes(41, 42, [row(2, 42)]));
  assert.deepEqual(it.news.map(({ notification }) => notification.id), [1, 2]);
});

test("a ping is answered by a pong with the own cursor", (t) => {
  const it = connected(t);
  it.server.say({ type: "ping", cursor: at(41), ref: 5 });
  assert.deepEqual(it.server.sent, [{ type: "pong", cursor: at(41), ref: 5 }]);
});

for (const type of ["ping", "pong"]) {
  for (const [place, cursor] of Object.entries({ ahead: at(43), behind: at(40), nowhere: null })) {
    test(`a ${type} from ${place} of us is a reason to read`, (t) => {
      const it = connected(t);
      it.server.say({ type, cursor });
      assert.deepEqual(it.server.sent.find(({ type }) => type === "changes"), { type: "changes", since: at(41), ref: 1 });
    });
  }
}

test("over a gap one question is asked, and what it missed is asked after the answer", (t) => {
  const it = connected(t);
  it.server.say(changes(43, 44, [row(4, 44)]));
  it.server.say(changes(44, 45, [row(5, 45)]));
  const questions = () => it.server.sent.filter(({ type }) => type === "changes").map(({ since }) => since);
  assert.deepEqual(questions(), [at(41)]);
  it.server.say(changes(41, 44, [row(3, 42), row(4, 44)]));
  assert.deepEqual(questions(), [at(41), at(44)]);
  it.server.say(changes(44, 45, [row(5, 45)]));
  assert.equal(it.subject.store.cursor, at(45));
  assert.deepEqual(questions().length, 2);
});

test("a question that nobody answers may be asked again after ten seconds", (t) => {
  const it = connected(t);
  it.server.say({ type: "ping", cursor: at(43) });
  it.server.say({ type: "ping", cursor: at(43) });
  assert.equal(it.server.sent.filter(({ type }) => type === "changes").length, 1);
  it.clock.tick(10_000);
  it.server.say({ type: "ping", cursor: at(43) });
  assert.equal(it.server.sent.filter(({ type }) => type === "changes").length, 2);
});

test("a question of an earlier socket does not hold up the next", (t) => {
  const it = connected(t);
  it.server.say({ type: "ping", cursor: at(43) });
  it.server.say(changes(40, 42));
  it.server.end(1001);
  it.clock.tick(500);
  it.server.accept();
  it.server.say(welcome(changes(42, 42)));
  it.server.say({ type: "ping", cursor: at(43) });
  assert.equal(it.server.sent.at(-1).type, "changes");
});

test("a reconnect goes on at the cursor", (t) => {
  const it = connected(t);
  it.server.end(1001);
  it.clock.tick(500);
  assert.equal(it.server.url.searchParams.get("since"), at(41));
});

test("what an earlier socket still says is not heard", (t) => {
  const it = connected(t);
  const old = it.server;
  it.subject.close();
  it.subject.open();
  old.say(changes(41, 42, [row(2, 42)]));
  assert.equal(it.subject.store.cursor, at(41));
});

test("from the poll back to the socket: no gap and no double", async (t) => {
  const it = client(t);
  it.server.end(1006);
  await it.web.last.answer(200, snapshot(41, [row(1, 41)]));
  assert.equal(it.subject.transport, "poll");
  it.clock.tick(500);
  const since = it.server.url.searchParams.get("since");
  assert.equal(since, at(41));
  it.subject.connection.ask();
  await it.web.last.answer(200, changes(41, 42, [row(2, 42)]));
  it.server.accept();
  it.server.say(welcome(changes(41, 43, [row(2, 42), row(3, 43)])));
  assert.equal(it.subject.transport, "websocket");
  it.server.say(changes(43, 44, [row(4, 44)]));
  assert.deepEqual(it.news.map(({ notification }) => notification.id), [1, 2, 3, 4]);
  const asked = it.web.calls.length;
  it.clock.tick(100_000);
  assert.equal(it.web.calls.length, asked, "the poll has stopped");
});

test("a poll asks on at once while pages follow", async (t) => {
  const it = client(t, ["poll"]);
  await it.web.last.answer(200, { ...snapshot(41, [row(1, 41)]), head: 90 });
  assert.equal(it.web.last.url.searchParams.get("since"), at(41));
  await it.web.last.answer(200, changes(41, 90, [row(2, 90)]));
  assert.equal(it.web.calls.length, 2);
});

test("names of transports that this release does not have are passed over", (t) => {
  const it = client(t, ["carrier-pigeon", "constructor"]);
  assert.equal(it.web.calls.length, 1, "polling is always possible");
});

test("a mark goes over the open socket and shows at once", (t) => {
  const it = connected(t);
  it.subject.mark("dismissed", it.subject.store.all());
  assert.deepEqual(it.server.sent, [{ type: "dismissed", ids: [[1, 41]], epoch: EPOCH, ref: 1 }]);
  assert.ok(it.subject.store.get(1)?.dismissed_at);
  it.server.say({ type: "ack", ref: 1, cursor: at(42) });
  it.server.say(changes(41, 42, [row(1, 42, { arrived: 41, dismissed_at: "server" })]));
  assert.equal(it.subject.store.get(1)?.dismissed_at, "server");
  assert.equal(it.news.length, 1);
});

test("a mark that the server refuses is taken back and told", (t) => {
  const it = connected(t);
  it.subject.mark("read", it.subject.store.all());
  it.server.say({ type: "error", ref: 1, code: "bad_command", message: "No." });
  assert.equal(it.subject.store.get(1)?.read_at, null);
  assert.deepEqual(it.errors, [{ code: "bad_command", message: "No." }]);
});

test("a mark too many is taken back, and told", (t) => {
  const it = connected(t);
  it.subject.mark("read", it.subject.store.all());
  it.server.say({ type: "error", ref: 1, code: "too_many", message: "Later." });
  assert.equal(it.subject.store.get(1)?.read_at, null);
  assert.deepEqual([it.errors, it.subject.state], [[{ code: "too_many", message: "Later." }], "open"]);
});

test("mark-all vouches for the complete cursor and names what lies above", (t) => {
  const it = connected(t);
  it.server.say(changes(41, 42, [row(2, 42)], { head: 50 }));
  it.subject.markAll("read");
  assert.deepEqual(it.server.sent, [{ type: "read_all", cursor: at(41), ids: [[2, 42]], epoch: EPOCH, ref: 1 }]);
  assert.ok(it.subject.store.get(1)?.read_at && it.subject.store.get(2)?.read_at);
});

test("what nobody answered is said again when the connection is back", (t) => {
  const it = connected(t);
  it.subject.mark("seen", it.subject.store.all());
  it.server.end(1006);
  it.clock.tick(500);
  it.server.accept();
  it.server.say(welcome(changes(41, 41)));
  assert.deepEqual(it.server.sent, [{ type: "seen", ids: [[1, 41]], epoch: EPOCH, ref: 1 }]);
  it.server.say({ type: "ack", ref: 1, cursor: at(42) });
  it.server.end(1006);
  it.clock.tick(500);
  it.server.accept();
  it.server.say(welcome(changes(41, 41)));
  assert.deepEqual(it.server.sent, []);
});

test("without a socket a mark is posted with the token of the moment, and the poll looks at once", async (t) => {
  const it = client(t, ["poll"]);
  await it.web.last.answer(200, snapshot(41, [row(1, 41)]));
  it.document.cookie = "token=newer";
  it.subject.mark("read", it.subject.store.all());
  const { url, options, answer } = it.web.last;
  assert.equal(String(url), "https://example.org/notify/commands/");
  assert.deepEqual(options, {
    ...{ method: "POST", keepalive: true },
    headers: { "Content-Type": "application/json", "X-CSRFToken": "newer" },
    body: JSON.stringify({ type: "read", ids: [[1, 41]], epoch: EPOCH, ref: 1 }),
  });
  await answer(200, { type: "ack", ref: 1, cursor: at(42) });
  assert.equal(it.web.last.url.searchParams.get("since"), at(41));
});

test("a task is cancelled as it was shown, and a mark is none", (t) => {
  const it = connected(t);
  it.subject.mark("cancel", it.subject.store.all());
  assert.deepEqual(it.server.sent, [{ type: "cancel", ids: [[1, 41]], epoch: EPOCH, ref: 1 }]);
  it.server.say({ type: "ack", ref: 1, cursor: at(42) });
  assert.equal(it.subject.store.get(1)?.read_at, null);
});

test("the cookie is decoded, and the page's own token comes before it", async (t) => {
  const it = client(t, ["poll"]);
  await it.web.last.answer(200, snapshot(41, [row(1, 41)]));
  it.subject.mark("seen", it.subject.store.all());
  assert.equal(it.web.last.options.headers["X-CSRFToken"], "s=cret");
  it.page.header = "page";
  it.subject.mark("seen", it.subject.store.all());
  assert.equal(it.web.last.options.headers["X-CSRFToken"], "page");
});

test("a POST on its way is not made twice, and too many requests are no refusal", async (t) => {
  const it = connected(t);
  it.subject.mark("read", it.subject.store.all(), { leaving: true });
  it.subject.commands.resend({ leaving: true });
  assert.equal(it.web.calls.length, 1);
  await it.web.last.answer(429, {});
  assert.deepEqual(it.errors, []);
  it.clock.tick(2_000);
  assert.equal(it.server.sent.length, 1);
});

test("of commands that nobody answers the last hundred are kept", (t) => {
  const it = connected(t);
  for (let count = 0; count < 103; count += 1) it.subject.mark("seen", it.subject.store.all());
  const before = it.server.sent.length;
  it.subject.commands.resend();
  const again = it.server.sent.slice(before).map(({ ref }) => ref);
  assert.deepEqual([again.length, again[0], again.at(-1)], [100, 4, 103]);
  it.subject.store.close();
});

test("who leaves the page posts, also beside an open socket", (t) => {
  const it = connected(t);
  it.subject.mark("read", it.subject.store.all(), { leaving: true });
  assert.deepEqual([it.server.sent, it.web.calls.length, it.web.last.options.keepalive], [[], 1, true]);
});

test("a POST that the network loses is tried again, one that is refused is not", async (t) => {
  const it = client(t, ["poll"]);
  await it.web.last.answer(200, snapshot(41, [row(1, 41)]));
  it.subject.mark("seen", it.subject.store.all());
  await it.web.last.fail();
  const posts = () => it.web.calls.filter(({ options }) => options.method === "POST");
  it.clock.tick(2_000);
  assert.equal(posts().length, 2);
  await posts()[1].answer(403, "<html>");
  it.clock.tick(100_000);
  assert.equal(posts().length, 2);
  assert.deepEqual(it.errors.map(({ code }) => code), ["csrf"]);
  assert.equal(it.subject.store.get(1)?.seen_at, null);
});

for (const [code, reason] of /** @type {[number, string][]} */ ([[4500, "protocol"], [4501, "not_signed_in"], [4503, "foreign_origin"], [4504, "kicked"]])) {
  test(`a terminal close is told with its reason: ${reason}`, (t) => {
    const it = connected(t);
    const ends = heard(it.subject, "end");
    it.server.end(code);
    assert.deepEqual([it.errors[0].code, ends.length, it.subject.state], [reason, 1, "closed"]);
  });
}

test("another network: the socket is asked for a sign of life", (t) => {
  const it = connected(t);
  it.window.fire("online");
  assert.deepEqual(it.server.sent, [{ type: "ping", cursor: at(41) }]);
});

test("known counts are told again at each opening, because a page may show older ones", async (t) => {
  const it = connected(t);
  assert.deepEqual(it.counts.at(-1), { unseen: 1, unread: 1 });
  const before = it.counts.length;
  it.server.end(1001);
  it.clock.tick(500);
  it.server.accept();
  it.server.say(welcome(changes(41, 41, [], { unseen: 1 })));
  await settled();
  assert.equal(it.counts.length, before + 1);
});

test("the life of the connection is told, with what it has brought, to whoever still listens", (t) => {
  const it = client(t);
  /** @type {any[]} */
  const told = [];
  const stop = it.subject.on("connect", (detail) => told.push(detail));
  it.subject.on("reconnect", (detail) => told.push(detail));
  it.server.accept();
  it.server.say(welcome(snapshot(41, [row(1, 41)])));
  it.server.end(1001);
  stop();
  it.clock.tick(500);
  it.server.say(welcome(changes(41, 43, [row(2, 42), row(3, 43)])));
  assert.deepEqual(told, [{ transport: "websocket", recovered: 1 }, { attempt: 1, recovered: 2 }]);
});

test("the end of a stream that the server ends for good has the same reason as that of a socket", async (t) => {
  const it = client(t, ["poll"]);
  const ends = heard(it.subject, "disconnect");
  await it.web.last.answer(200, snapshot(41));
  it.subject.connection.ask();
  await it.web.last.answer(403, { type: "error", ref: null, code: "kicked", message: "" });
  assert.deepEqual([it.errors[0].code, ends], ["kicked", [{ reason: "kicked", returns: false }]]);
});

test("behind a stream the gap is read beside it", async (t) => {
  const it = client(t, ["sse"], "alice");
  await settled();
  const stream = FakeEventSource.last;
  stream.say(JSON.stringify(welcome(snapshot(41, [row(1, 41)]))));
  stream.say(JSON.stringify({ type: "ping", cursor: at(43) }), "ping");
  assert.equal(it.web.last.url.searchParams.get("since"), at(41));
  await it.web.last.answer(200, changes(41, 43, [row(2, 43)]));
  assert.deepEqual(it.news.map(({ notification }) => notification.id), [1, 2]);
});

test("two at once: the late welcome of a socket that asked for a snapshot takes nothing away", async (t) => {
  const it = client(t, ["websocket", "sse"], "alice");
  it.clock.tick(2_500);
  await settled();
  const stream = FakeEventSource.last;
  stream.say(JSON.stringify(welcome(snapshot(41, [row(1, 41)]))));
  stream.say(JSON.stringify(changes(41, 42, [row(2, 42)])));
  it.server.accept();
  it.server.say(welcome(snapshot(41, [row(1, 41)])));
  assert.deepEqual([it.subject.transport, it.subject.store.cursor, it.subject.store.get(2)?.id], ["websocket", at(42), 2]);
});

test("sockets are secure where the page is", (t) => {
  assert.equal(client(t).server.url.href, "wss://example.org/notify/ws/");
});
