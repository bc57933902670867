import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { Client } from "../../src/mailbox/client.js";
import { FakeBrowser } from "../kit/browser.js";
import { clock } from "../kit/clock.js";
import { at, changes, EPOCH, FakeEventSource, FakeFetch, FakePage, FakeStorage, FakeWebSocket, globals, eventsOf, row, settled, snapshot, welcome } from "../kit/helpers.js";

beforeEach(() => {
  FakeWebSocket.all = [];
});

/** @param {import("node:test").TestContext} t */
function client(t, transports = ["websocket", "poll"], user = "") {
  clock.start(t);
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
    ...{ subject, web, window, document, page, clock },
    news: eventsOf(subject, "notification"),
    errors: eventsOf(subject, "error"),
    counts: eventsOf(subject, "counts"),
    get server() {
      return FakeWebSocket.last;
    },
  };
}

/** @param {import("node:test").TestContext} t */
function connected(t) {
  const it = client(t);
  it.server.accept();
  it.server.push(welcome(snapshot(41, [row(1, 41)])));
  return it;
}

test("new content is emitted once", (t) => {
  const it = connected(t);
  it.server.push(changes(41, 42, [row(2, 42)]));
  it.server.push(changes(41, 42, [row(2, 42)]));
  assert.deepEqual(it.news.map(({ notification }) => notification.id), [1, 2]);
});

test("a ping is answered by a pong with the own cursor", (t) => {
  const it = connected(t);
  it.server.push({ type: "ping", cursor: at(41), ref: 5 });
  assert.deepEqual(it.server.sent, [{ type: "pong", cursor: at(41), ref: 5 }]);
});

for (const type of ["ping", "pong"]) {
  for (const [place, cursor] of Object.entries({ ahead: at(43), behind: at(40), nowhere: null })) {
    test(`a ${type} from ${place} of us is a reason to read`, (t) => {
      const it = connected(t);
      it.server.push({ type, cursor });
      assert.deepEqual(it.server.sent.find(({ type }) => type === "changes"), { type: "changes", since: at(41), ref: 1 });
    });
  }
}

test("after a gap one question is sent, and another one after the answer for what it missed", (t) => {
  const it = connected(t);
  it.server.push(changes(43, 44, [row(4, 44)]));
  it.server.push(changes(44, 45, [row(5, 45)]));
  const questions = () => it.server.sent.filter(({ type }) => type === "changes").map(({ since }) => since);
  assert.deepEqual(questions(), [at(41)]);
  it.server.push(changes(41, 44, [row(3, 42), row(4, 44)]));
  assert.deepEqual(questions(), [at(41), at(44)]);
  it.server.push(changes(44, 45, [row(5, 45)]));
  assert.equal(it.subject.store.cursor, at(45));
  assert.deepEqual(questions().length, 2);
});

test("a question that is not answered may be sent again after ten seconds", (t) => {
  const it = connected(t);
  it.server.push({ type: "ping", cursor: at(43) });
  it.server.push({ type: "ping", cursor: at(43) });
  assert.equal(it.server.sent.filter(({ type }) => type === "changes").length, 1);
  it.clock.tick(10_000);
  it.server.push({ type: "ping", cursor: at(43) });
  assert.equal(it.server.sent.filter(({ type }) => type === "changes").length, 2);
});

test("a question of an earlier socket does not hold up the next", (t) => {
  const it = connected(t);
  it.server.push({ type: "ping", cursor: at(43) });
  it.server.push(changes(40, 42));
  it.server.end(1001);
  it.clock.tick(500);
  it.server.accept();
  it.server.push(welcome(changes(42, 42)));
  it.server.push({ type: "ping", cursor: at(43) });
  assert.equal(it.server.sent.at(-1).type, "changes");
});

test("a reconnect goes on at the cursor", (t) => {
  const it = connected(t);
  it.server.end(1001);
  it.clock.tick(500);
  assert.equal(it.server.url.searchParams.get("since"), at(41));
});

test("documents of an earlier socket are ignored", (t) => {
  const it = connected(t);
  const old = it.server;
  it.subject.close();
  it.subject.open();
  old.push(changes(41, 42, [row(2, 42)]));
  assert.equal(it.subject.store.cursor, at(41));
});

test("from the poll back to the socket: no gap and no duplicate", async (t) => {
  const it = client(t);
  it.server.end(1006);
  await it.web.last.answer(200, snapshot(41, [row(1, 41)]));
  assert.equal(it.subject.transport, "poll");
  it.clock.tick(500);
  const since = it.server.url.searchParams.get("since");
  assert.equal(since, at(41));
  it.subject._connection.ask();
  await it.web.last.answer(200, changes(41, 42, [row(2, 42)]));
  it.server.accept();
  it.server.push(welcome(changes(41, 43, [row(2, 42), row(3, 43)])));
  assert.equal(it.subject.transport, "websocket");
  it.server.push(changes(43, 44, [row(4, 44)]));
  assert.deepEqual(it.news.map(({ notification }) => notification.id), [1, 2, 3, 4]);
  const asked = it.web.calls.length;
  it.clock.tick(100_000);
  assert.equal(it.web.calls.length, asked, "the poll has stopped");
});

test("a poll asks again at once while more pages follow", async (t) => {
  const it = client(t, ["poll"]);
  await it.web.last.answer(200, { ...snapshot(41, [row(1, 41)]), head: 90 });
  assert.equal(it.web.last.url.searchParams.get("since"), at(41));
  await it.web.last.answer(200, changes(41, 90, [row(2, 90)]));
  assert.equal(it.web.calls.length, 2);
});

test("names of transports that this release does not have are skipped", (t) => {
  const it = client(t, ["carrier-pigeon", "constructor"]);
  assert.equal(it.web.calls.length, 1, "polling is always possible");
});

test("a mark goes over the open socket and shows at once", (t) => {
  const it = connected(t);
  it.subject.mark("dismissed", it.subject.store.all());
  assert.deepEqual(it.server.sent, [{ type: "dismissed", ids: [[1, 41]], epoch: EPOCH, ref: 1 }]);
  assert.ok(it.subject.store.get(1)?.dismissed_at);
  it.server.push({ type: "ack", ref: 1, cursor: at(42) });
  it.server.push(changes(41, 42, [row(1, 42, { arrived: 41, dismissed_at: "server" })]));
  assert.equal(it.subject.store.get(1)?.dismissed_at, "server");
  assert.equal(it.news.length, 1);
});

test("a mark that the server refuses is taken back, and an error is emitted", (t) => {
  const it = connected(t);
  it.subject.mark("read", it.subject.store.all());
  it.server.push({ type: "error", ref: 1, code: "bad_command", message: "No." });
  assert.equal(it.subject.store.get(1)?.read_at, null);
  assert.deepEqual(it.errors, [{ ref: 1, code: "bad_command", message: "No." }]);
});

for (const code of ["unavailable", "too_many"]) {
  test(`over the socket a command that is answered ${code} is sent again after a while, and not taken back`, (t) => {
    const it = connected(t);
    it.subject.mark("seen", it.subject.store.all());
    it.subject.mark("read", it.subject.store.all());
    const refs = () => it.server.sent.splice(0).map(({ ref }) => ref);
    const refuse = () => [1, 2].forEach((ref) => it.server.push({ type: "error", ref, code, message: "Later." }));
    assert.deepEqual(refs(), [1, 2]);
    for (let time = 0; time < 3; time += 1) {
      refuse();
      it.clock.tick(499);
      assert.deepEqual(refs(), []);
      it.clock.tick(1);
      assert.deepEqual(refs(), [1, 2]);
    }
    assert.ok(it.subject.store.get(1)?.read_at);
    it.server.push({ type: "ack", ref: 1, cursor: at(42) });
    it.server.push({ type: "error", ref: 2, code, message: "Later." });
    it.clock.tick(500);
    assert.deepEqual([refs(), it.errors], [[2], []]);
  });
}

test("mark-all names the complete cursor, and the notifications above it", (t) => {
  const it = connected(t);
  it.server.push(changes(41, 42, [row(2, 42)], { head: 50 }));
  it.subject.markAll("read");
  assert.deepEqual(it.server.sent, [{ type: "read_all", cursor: at(41), ids: [[2, 42]], epoch: EPOCH, ref: 1 }]);
  assert.ok(it.subject.store.get(1)?.read_at && it.subject.store.get(2)?.read_at);
});

test("a mark that was not answered is sent again when the connection is back", (t) => {
  const it = connected(t);
  it.subject.mark("seen", it.subject.store.all());
  it.server.end(1006);
  it.clock.tick(500);
  it.server.accept();
  it.server.push(welcome(changes(41, 41)));
  assert.deepEqual(it.server.sent, [{ type: "seen", ids: [[1, 41]], epoch: EPOCH, ref: 1 }]);
  it.server.push({ type: "ack", ref: 1, cursor: at(42) });
  it.server.end(1006);
  it.clock.tick(500);
  it.server.accept();
  it.server.push(welcome(changes(41, 41)));
  assert.deepEqual(it.server.sent, []);
});

test("without a socket a mark is posted with the current token, and the poll asks at once", async (t) => {
  const it = client(t, ["poll"]);
  await it.web.last.answer(200, snapshot(41, [row(1, 41)]));
  it.document.cookie = "token=newer";
  it.subject.mark("read", it.subject.store.all());
  const { url, options, answer } = it.web.last;
  assert.equal(String(url), "https://example.org/notify/commands/");
  assert.deepEqual(options, {
    ...{ method: "POST", mode: "same-origin", keepalive: true },
    headers: { "Content-Type": "application/json", "X-CSRFToken": "newer" },
    body: JSON.stringify({ type: "read", ids: [[1, 41]], epoch: EPOCH, ref: 1 }),
  });
  await answer(200, { type: "ack", ref: 1, cursor: at(42) });
  assert.equal(it.web.last.url.searchParams.get("since"), at(41));
});

test("a task is cancelled as it was shown, and cancelling marks nothing", (t) => {
  const it = connected(t);
  it.subject.mark("cancel", it.subject.store.all());
  assert.deepEqual(it.server.sent, [{ type: "cancel", ids: [[1, 41]], epoch: EPOCH, ref: 1 }]);
  it.server.push({ type: "ack", ref: 1, cursor: at(42) });
  assert.equal(it.subject.store.get(1)?.read_at, null);
});

test("the cookie is decoded, and the page's own token comes before it", async (t) => {
  const it = client(t, ["poll"]);
  await it.web.last.answer(200, snapshot(41, [row(1, 41)]));
  it.subject.mark("seen", it.subject.store.all());
  assert.equal(it.web.last.options.headers["X-CSRFToken"], "s=cret");
  it.page.header = "page";
  it.subject.mark("seen", it.subject.store.all(), { leaving: true });
  assert.equal(it.web.last.options.headers["X-CSRFToken"], "page");
});

test("an undo is not posted before its mark is answered", async (t) => {
  const it = client(t, ["poll"]);
  await it.web.last.answer(200, snapshot(41, [row(1, 41)]));
  const all = it.subject.store.all();
  const sent = () => it.web.calls.flatMap(({ options }) => (options.body ? [JSON.parse(options.body).type] : []));
  it.subject.mark("archived", all);
  it.subject.mark("unarchive", all);
  assert.deepEqual(sent(), ["archived"]);
  await it.web.last.answer(503, { type: "error", ref: 1, code: "unavailable", message: "" });
  it.subject.mark("read", all);
  assert.deepEqual(sent(), ["archived"]);
  it.clock.tick(2_000);
  assert.deepEqual(sent(), ["archived", "archived"]);
  await it.web.calls.filter(({ options }) => options.body).at(-1)?.answer(200, { type: "ack", ref: 1, cursor: at(42) });
  assert.deepEqual(sent(), ["archived", "archived", "unarchive"]);
});

test("a mark that the socket has lost is posted before its undo", (t) => {
  const it = connected(t);
  const all = it.subject.store.all();
  it.subject.mark("archived", all);
  it.subject.close();
  it.subject.mark("unarchive", all);
  assert.equal(JSON.parse(it.web.last.options.body).type, "archived");
});

test("a POST on its way is not sent twice, and the status 429 is not a refusal", async (t) => {
  const it = connected(t);
  it.subject.mark("read", it.subject.store.all(), { leaving: true });
  it.subject._commands._resend(true);
  assert.equal(it.web.calls.length, 1);
  await it.web.last.answer(429, {});
  assert.deepEqual(it.errors, []);
  it.clock.tick(2_000);
  assert.equal(it.server.sent.length, 1);
});

test("of the commands that are not answered the last hundred are kept", (t) => {
  const it = connected(t);
  for (let count = 0; count < 103; count += 1) it.subject.mark("seen", it.subject.store.all());
  const before = it.server.sent.length;
  it.subject._commands._resend();
  const again = it.server.sent.slice(before).map(({ ref }) => ref);
  assert.deepEqual([again.length, again[0], again.at(-1)], [100, 4, 103]);
  it.subject.store._close();
});

test("a mark is posted if the user leaves the page, also beside an open socket", (t) => {
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
  await posts()[1].answer(400, { type: "error", ref: 1, code: "bad_command", message: "No." });
  it.clock.tick(100_000);
  assert.equal(posts().length, 2);
  assert.deepEqual(it.errors.map(({ code }) => code), ["bad_command"]);
  assert.equal(it.subject.store.get(1)?.seen_at, null);
});

test("marks of the page before show at once and are sent once the connection is open, in place of our own", (t) => {
  const it = client(t);
  const before = [{ type: "dismissed", ids: [[1, 41]], epoch: EPOCH, ref: 7 }, { type: "read_all", cursor: at(40), ids: [[1, 41]], epoch: EPOCH, ref: 8 }];
  it.subject.store._apply(snapshot(41, [row(1, 41)]), true);
  it.subject._resume(/** @type {any} */ ([before[0]]));
  it.subject._resume(/** @type {any} */ (before));
  assert.ok(it.subject.store.get(1)?.dismissed_at);
  assert.ok(it.subject.store.get(1)?.read_at);
  assert.equal(it.web.calls.length, 0);
  it.server.accept();
  it.server.push(welcome(snapshot(41, [row(1, 41)])));
  assert.deepEqual(it.server.sent, [{ ...before[0], ref: 2 }, { ...before[1], ref: 3 }]);
  assert.deepEqual(it.subject._commands._pending.map(({ ref }) => ref), [2, 3]);
});

const HTML = { "Content-Type": "text/html" };

for (const [name, answer] of /** @type {[string, [number, unknown, Record<string, string>?, boolean?]][]} */ ([
  ["finds nobody signed in", [401, { type: "error", ref: null, code: "not_signed_in", message: "Sign in." }]],
  ["a middleware redirects to its login page", [200, "<!doctype html>", HTML, true]],
])) {
  test(`a POST that ${name} ends the client, as the close code of a socket does`, async (t) => {
    const it = client(t, ["poll"]);
    const ends = [eventsOf(it.subject, "end"), eventsOf(it.subject, "disconnect")];
    await it.web.last.answer(200, snapshot(41, [row(1, 41)]));
    it.subject.mark("seen", it.subject.store.all());
    await it.web.last.answer(...answer);
    assert.deepEqual(it.errors.map(({ code }) => code), ["not_signed_in"]);
    assert.deepEqual([it.subject.state, ends], ["closed", [[null], [{ reason: "not_signed_in", returns: false }]]]);
  });
}

test("a token that went stale is fetched anew once, and commands are sent again with it", async (t) => {
  const it = client(t, ["poll"]);
  await it.web.last.answer(200, snapshot(41, [row(1, 41)]));
  it.page.header = "stale";
  const mark = () => it.subject.mark("seen", it.subject.store.all(), { leaving: true });
  const paths = () => it.web.calls.splice(0).map(({ url, options }) => [url.pathname.split("/").at(-2), options.headers?.["X-CSRFToken"]]);
  paths();
  mark();
  mark();
  const [one, two] = it.web.calls;
  await one.answer(403, "<html>");
  await two.answer(403, "<html>");
  assert.equal(it.web.last.options.cache, "no-store");
  const token = it.web.last;
  assert.deepEqual(paths(), [["commands", "stale"], ["commands", "stale"], ["token", undefined]]);
  await token.answer(200, { token: "fresh" });
  const again = it.web.calls[0];
  assert.deepEqual(paths(), [["commands", "fresh"], ["commands", "fresh"]]);
  await again.answer(200, { type: "ack", ref: 1, cursor: at(41) });
  mark();
  it.page.header = "newer page";
  mark();
  assert.deepEqual(paths(), [["commands", "fresh"], ["commands", "newer page"]]);
  assert.deepEqual(it.errors, []);
});

test("a token that does not help is not fetched again before a command was accepted", async (t) => {
  const it = client(t, ["poll"]);
  await it.web.last.answer(200, snapshot(41, [row(1, 41)]));
  const mark = () => it.subject.mark("seen", it.subject.store.all());
  mark();
  await it.web.last.answer(403, "<html>");
  await it.web.last.answer(200, { token: "fresh" });
  await it.web.last.answer(403, { detail: "CSRF" });
  mark();
  await it.web.last.answer(403, "<html>");
  const paths = () => it.web.calls.map(({ url }) => url.pathname.split("/").at(-2));
  assert.deepEqual(paths(), ["changes", "commands", "token", "commands", "commands"]);
  assert.deepEqual(it.errors.map(({ code }) => code), ["csrf", "csrf"]);
  mark();
  await it.web.last.answer(200, { type: "ack", ref: 3, cursor: at(41) });
  mark();
  await it.web.last.answer(403, "<html>");
  assert.equal(paths().at(-1), "token");
});

test("a page without a token whose user signed out elsewhere ends", async (t) => {
  const it = client(t, ["poll"]);
  await it.web.last.answer(200, snapshot(41, [row(1, 41)]));
  it.subject.mark("seen", it.subject.store.all());
  await it.web.last.answer(403, "<html>");
  await it.web.last.answer(401, { type: "error", ref: null, code: "not_signed_in", message: "Sign in." });
  assert.deepEqual([it.subject.state, it.errors.map(({ code }) => code)], ["closed", ["not_signed_in"]]);
});

test("if no token can be had, the command is refused", async (t) => {
  const it = client(t, ["poll"]);
  await it.web.last.answer(200, snapshot(41, [row(1, 41)]));
  it.subject.mark("seen", it.subject.store.all());
  await it.web.last.answer(403, "<html>");
  await it.web.last.fail();
  assert.deepEqual([it.subject.state, it.errors.map(({ code }) => code)], ["open", ["csrf"]]);
});

for (const [code, reason] of /** @type {[number, string][]} */ ([[4500, "protocol"], [4501, "not_signed_in"], [4503, "foreign_origin"], [4504, "kicked"], [4505, "another_user"]])) {
  test(`a terminal close emits an error with its reason: ${reason}`, (t) => {
    const it = connected(t);
    const ends = eventsOf(it.subject, "end");
    const warn = t.mock.method(console, "warn", () => {});
    it.server.end(code);
    assert.deepEqual([it.errors[0].code, ends.length, it.subject.state], [reason, 1, "closed"]);
    assert.match(warn.mock.calls[0].arguments[0], new RegExp(`: ${reason.replace("_", " ")}`));
  });
}

test("after a terminal close nothing of the user is left, and a client that is opened again starts over", (t) => {
  const it = connected(t);
  t.mock.method(console, "warn", () => {});
  const [resets, cursors] = [eventsOf(it.subject, "reset"), eventsOf(it.subject, "cursor")];
  it.subject.mark("read", it.subject.store.all());
  it.server.end(4501);
  const { store } = it.subject;
  assert.deepEqual([store.all(), store.cursor, store.complete, it.subject.counts], [[], null, null, null]);
  assert.deepEqual([resets.length, cursors], [1, [null]]);
  it.subject.open();
  assert.equal(it.server.url.searchParams.get("since"), null);
  it.server.push(welcome(snapshot(41, [row(1, 41)])));
  assert.deepEqual(it.news.map(({ notification }) => notification.id), [1, 1]);
});

test("each connection, poll and command names the user for whom the page was rendered", async (t) => {
  const it = client(t, ["websocket", "sse", "longpoll", "poll"], "alice");
  it.server.end(1006);
  await settled();
  FakeEventSource.last.dispatchEvent(new Event("error"));
  it.clock.tick(1);
  await it.web.last.answer(503); // the read that asks why the stream ended
  await it.web.last.answer(503); // the long poll
  await it.web.last.answer(200, snapshot(41, [row(1, 41)]));
  it.subject.mark("read", it.subject.store.all());
  const asked = [it.server.url, FakeEventSource.last.url, ...it.web.calls.map(({ url }) => url)];
  assert.deepEqual([...new Set(asked.map(({ pathname }) => pathname))], ["ws/", "stream/", "changes/", "commands/"].map((path) => `/notify/${path}`));
  for (const { searchParams } of asked) assert.equal(searchParams.get("user"), "alice");
});

test("another network: the socket is asked for a sign of life", (t) => {
  const it = connected(t);
  it.window.fire("online");
  assert.deepEqual(it.server.sent, [{ type: "ping", cursor: at(41) }]);
});

test("known counts are emitted again at each opening, because a page may show older ones", async (t) => {
  const it = connected(t);
  assert.deepEqual(it.counts.at(-1), { unseen: 1, unread: 1 });
  const before = it.counts.length;
  it.server.end(1001);
  it.clock.tick(500);
  it.server.accept();
  it.server.push(welcome(changes(41, 41, [], { unseen: 1 })));
  await settled();
  assert.equal(it.counts.length, before + 1);
});

test("the life of the connection is emitted with the number of new notifications, to the listeners that are left", (t) => {
  const it = client(t);
  /** @type {any[]} */
  const emitted = [];
  const stop = it.subject.on("connect", (detail) => emitted.push(detail));
  it.subject.on("reconnect", (detail) => emitted.push(detail));
  it.server.accept();
  it.server.push(welcome(snapshot(41, [row(1, 41)])));
  it.server.end(1001);
  stop();
  it.clock.tick(500);
  it.server.push(welcome(changes(41, 43, [row(2, 42), row(3, 43)])));
  assert.deepEqual(emitted, [{ transport: "websocket", recovered: 1 }, { attempt: 1, recovered: 2 }]);
});

test("the end of a stream that the server ends for good has the same reason as that of a socket", async (t) => {
  const it = client(t, ["poll"]);
  const ends = eventsOf(it.subject, "disconnect");
  await it.web.last.answer(200, snapshot(41));
  it.subject._connection.ask();
  await it.web.last.answer(403, { type: "error", ref: null, code: "kicked", message: "" });
  assert.deepEqual([it.errors[0].code, ends], ["kicked", [{ reason: "kicked", returns: false }]]);
});

test("with a stream, a gap is read by a separate request", async (t) => {
  const it = client(t, ["sse"], "alice");
  await settled();
  const stream = FakeEventSource.last;
  stream.push(JSON.stringify(welcome(snapshot(41, [row(1, 41)]))));
  stream.push(JSON.stringify({ type: "ping", cursor: at(43) }), "ping");
  assert.equal(it.web.last.url.searchParams.get("since"), at(41));
  await it.web.last.answer(200, changes(41, 43, [row(2, 43)]));
  assert.deepEqual(it.news.map(({ notification }) => notification.id), [1, 2]);
});

test("two transports at once: the late welcome of a socket that asked for a snapshot removes nothing", async (t) => {
  const it = client(t, ["websocket", "sse"], "alice");
  it.clock.tick(2_500);
  await settled();
  const stream = FakeEventSource.last;
  stream.push(JSON.stringify(welcome(snapshot(41, [row(1, 41)]))));
  stream.push(JSON.stringify(changes(41, 42, [row(2, 42)])));
  it.server.accept();
  it.server.push(welcome(snapshot(41, [row(1, 41)])));
  assert.deepEqual([it.subject.transport, it.subject.store.cursor, it.subject.store.get(2)?.id], ["websocket", at(42), 2]);
});

test("sockets are secure if the page is", (t) => {
  assert.equal(client(t).server.url.href, "wss://example.org/notify/ws/");
});
