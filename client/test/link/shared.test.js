import assert from "node:assert/strict";
import { test } from "node:test";
import { Emitter } from "../../src/platform/emitter.js";
import { CLOSE } from "../../src/protocol.js";
import { Tabs } from "../../src/link/tabs.js";
import { SharedTransport } from "../../src/link/transports/shared.js";
import { FakeBrowser } from "../kit/browser.js";
import { clock } from "../kit/clock.js";
import { at, changes, FakePage, settled, snapshot, welcome } from "../kit/helpers.js";

/** The connection of a leader, or of a follower that reads, as far as its tab uses it. */
class FakeConnection extends Emitter {
  state = "closed";
  transport = "";
  asked = 0;
  /** @type {object[]} */
  sent = [];
  /** @param {import("../../src/link/transports/shared.js").Kind} kind */
  constructor(kind) {
    super();
    this.kind = kind;
  }
  /** @param {string} state */
  become(state, transport = this.transport) {
    Object.assign(this, { state, transport });
    this._emit("state");
  }
  open() {
    this.become("connecting");
  }
  close() {
    this.become("closed", "");
  }
  ask() {
    this.asked += 1;
  }
  /** @param {object} document */
  send(document) {
    this.sent.push(document);
    return this.transport === "websocket";
  }
  /** Its first document arrives. */
  adopt(transport = "sse", document = /** @type {any} */ (welcome(changes(41, 41)))) {
    this.become("open", transport);
    this.push(document, true);
  }
  /** A read is answered. @param {object} [document] */
  answer(document) {
    this.become("open", "poll");
    if (document) this.push(document, true);
    this._emit("open");
    return settled();
  }
  /** @param {any} document */
  push(document, own = false) {
    this._emit("document", { document, own });
  }
  doubt() {
    this._emit("doubt");
  }
  /** @param {number} code */
  end(code) {
    this.close();
    this._emit("end", { code });
  }
  /** @param {number} [code] */
  lose(code = CLOSE.lost, retryAfter = 0) {
    this._emit("lost", { transport: "sse", reason: "transport close", _inUse: true, returns: true, code, _retryAfter: retryAfter });
    this.become("waiting", "");
  }
}

/** @param {import("node:test").TestContext} t */
function site(t) {
  clock.start(t);
  return { browser: new FakeBrowser(), clock };
}

/** A tab in the browser that was made last. */
async function tab({ hidden = false, user = "alice" } = {}) {
  const document = new FakePage();
  document.hidden = hidden;
  const tabs = new Tabs(user);
  tabs.open();
  /** @type {FakeConnection[]} */
  const connections = [];
  /** @type {FakeConnection[]} */
  const readers = [];
  /** @type {string[]} */
  const events = [];
  /** @type {[any, boolean][]} */
  const documents = [];
  const subject = new SharedTransport({
    tabs,
    document,
    cursor: () => at(41),
    connect: (kind) => {
      const made = new FakeConnection(kind);
      (kind === "read" ? readers : connections).push(made);
      return /** @type {any} */ (made);
    },
  });
  subject.on("rename", () => events.push(`rename ${subject.name}`));
  // The same event again has no effect.
  subject.on("open", () => events.some((event) => event.startsWith("open")) || events.push(`open ${subject.name}`));
  subject.on("close", ({ code, _retryAfter: retryAfter }) => events.push(`close ${code} ${retryAfter}`));
  subject.on("message", ({ data, own }) => documents.push([JSON.parse(data), own]));
  subject.open();
  await settled();
  return {
    ...{ subject, tabs, document, connections, readers, events, documents },
    get connection() {
      return /** @type {FakeConnection} */ (connections.at(-1));
    },
    get reader() {
      return /** @type {FakeConnection} */ (readers.at(-1));
    },
    /** @param {boolean} hidden */
    async show(hidden = false) {
      document.hidden = hidden;
      document.fire("visibilitychange");
      await settled();
    },
  };
}

/** A leader on this transport and one that follows it. @param {import("node:test").TestContext} t */
async function pair(t, { transport = "sse", hidden = false } = {}) {
  const { browser, clock } = site(t);
  const leader = await tab({ hidden });
  leader.connection.adopt(transport);
  await settled();
  const follower = await tab();
  await follower.reader.answer();
  return { browser, clock, leader, follower };
}

const PING = { type: "ping", cursor: at(41) };

test("the first tab leads: it opens with its connection, and has the same name", async (t) => {
  site(t);
  const it = await tab();
  assert.deepEqual(it.events, []);
  it.connection.adopt("sse", welcome(snapshot(41)));
  assert.deepEqual(it.events, ["rename sse", "open sse"]);
  assert.deepEqual(it.documents, [[snapshot(41), true]], "the heartbeat of a welcome concerns the connection alone");
  assert.equal(it.readers.length, 0);
});

test("another tab follows: one read and no connection", async (t) => {
  const { leader, follower } = await pair(t);
  assert.deepEqual(follower.events, ["rename sse", "open sse"]);
  assert.deepEqual([follower.connections.length, follower.readers.length], [0, 1]);
  leader.connection.push(changes(41, 42));
  await settled();
  assert.deepEqual(leader.documents.at(-1), [changes(41, 42), false]);
  assert.deepEqual(follower.documents.at(-1), [changes(41, 42), false]);
});

test("documents posted while a follower reads are emitted after its read", async (t) => {
  site(t);
  const leader = await tab();
  leader.connection.adopt();
  const follower = await tab();
  leader.connection.push(changes(41, 42));
  await settled();
  assert.deepEqual(follower.documents, []);
  await follower.reader.answer(changes(40, 41));
  assert.deepEqual(follower.documents, [[changes(40, 41), true], [PING, false], [changes(41, 42), false]]);
});

test("a follower is not open before its leader is", async (t) => {
  const { clock } = site(t);
  const leader = await tab();
  const follower = await tab();
  clock.tick(9_000);
  await settled();
  assert.deepEqual([follower.events, follower.readers], [[], []]);
  assert.equal(leader.connections.length, 1, "a leader that is about to connect keeps the lead");
  leader.connection.adopt();
  await settled();
  await follower.reader.answer();
  assert.deepEqual(follower.events, ["rename sse", "open sse"]);
});

test("answers to the leader's questions and acks of its commands are its own", async (t) => {
  const { leader, follower } = await pair(t, { transport: "websocket" });
  const before = follower.documents.length;
  leader.connection.push({ type: "ack", ref: 3, cursor: at(42) });
  leader.connection.push({ type: "pong", cursor: at(41) });
  leader.connection.push({ type: "error", ref: 4, code: "too_many", message: "" });
  leader.connection.push(changes(41, 42), true);
  await settled();
  assert.deepEqual(follower.documents.slice(before), [[changes(41, 42), false]]);
});

test("commands go over the leader's socket, those of a follower by POST", async (t) => {
  const { leader, follower } = await pair(t, { transport: "websocket" });
  assert.equal(leader.subject.send({ type: "read", ref: 1 }), true);
  assert.equal(follower.subject.send({ type: "read", ref: 1 }), false);
  assert.deepEqual(leader.connection.sent, [{ type: "read", ref: 1 }]);
});

test("after a gap a follower reads for itself, and a leader asks its connection", async (t) => {
  const { leader, follower } = await pair(t);
  leader.subject.ask();
  follower.subject.ask();
  assert.deepEqual([leader.connection.asked, follower.reader.asked], [1, 1]);
});

test("when the leader closes, a follower leads without an end in between", async (t) => {
  const { leader, follower } = await pair(t);
  const third = await tab();
  await third.reader.answer();
  leader.subject.close();
  await settled();
  assert.deepEqual([follower.connections.length, third.connections.length], [1, 0]);
  assert.equal(follower.reader.state, "open", "it follows until it leads");
  follower.connection.adopt("sse", welcome(changes(41, 42)));
  await settled();
  assert.equal(follower.reader.state, "closed");
  assert.deepEqual(follower.documents.at(-1), [changes(41, 42), true]);
  assert.deepEqual(third.documents.at(-1), [changes(41, 42), false]);
  for (const { events } of [follower, third]) assert.deepEqual(events, ["rename sse", "open sse"]);
});

test("the last document of the old leader is not lost while the new one connects", async (t) => {
  const { leader, follower } = await pair(t);
  leader.connection.push(changes(41, 42));
  leader.subject.close();
  await settled();
  const documents = follower.documents.filter(([{ type }]) => type === "changes");
  assert.deepEqual(documents, [[changes(41, 42), false]]);
});

test("a leader that loses its connection ends, and the next one tries", async (t) => {
  const { leader, follower } = await pair(t);
  leader.connection.lose(4000);
  await settled();
  assert.deepEqual(leader.events.at(-1), "close 4000 0");
  assert.equal(follower.connections.length, 1);
  follower.connection.lose(CLOSE.too_many, 7_000);
  assert.deepEqual(follower.events.at(-1), `close ${CLOSE.too_many} 7000`);
});

test("another kind of connection renames it in every tab", async (t) => {
  const { leader, follower } = await pair(t, { transport: "longpoll" });
  leader.connection.become("open", "sse");
  await settled();
  for (const { events } of [leader, follower]) assert.deepEqual(events, ["rename longpoll", "open longpoll", "rename sse"]);
});

test("a terminal end ends all tabs, with its code", async (t) => {
  const { browser, leader, follower } = await pair(t);
  leader.connection.end(CLOSE.kicked);
  await settled();
  for (const { events } of [leader, follower]) assert.equal(events.at(-1), `close ${CLOSE.kicked} 0`);
  assert.deepEqual([follower.connections.length, browser.interest], [0, 0]);
});

test("a read that is refused ends a follower, for as long as the server says", async (t) => {
  const { leader, follower } = await pair(t);
  follower.reader.lose(CLOSE.lost, 7_000);
  await settled();
  assert.equal(follower.events.at(-1), `close ${CLOSE.lost} 7000`);
  assert.deepEqual(leader.events, ["rename sse", "open sse"]);
});

test("a closed tab emits nothing and holds no lock", async (t) => {
  const { browser, clock, leader, follower } = await pair(t);
  const [connection, { reader }] = [leader.connection, follower];
  const before = [...follower.documents, ...leader.documents];
  leader.subject.close();
  follower.subject.close();
  connection.push(changes(41, 42));
  leader.tabs.post({ name: "sse", slow: false, text: JSON.stringify(PING) });
  reader.push(changes(41, 42), true);
  await follower.show();
  clock.tick(100_000);
  await settled();
  assert.deepEqual([...follower.documents, ...leader.documents], before);
  assert.deepEqual([follower.events.length, browser.interest, follower.connections.length], [2, 0, 0]);
});

test("a follower takes the lead from a leader that does not answer", async (t) => {
  const { clock, leader, follower } = await pair(t);
  leader.tabs.close(); // as a frozen page
  clock.tick(30_000);
  clock.tick(1_500);
  await settled();
  assert.equal(follower.connections.length, 1);
  assert.deepEqual(follower.events, ["rename sse", "open sse"]);
});

test("a quiet leader that answers is left alone", async (t) => {
  const { clock, leader, follower } = await pair(t);
  for (let minute = 0; minute < 10; minute += 1) {
    clock.tick(30_000);
    await settled();
    clock.tick(1_500);
    await settled();
  }
  assert.deepEqual([leader.connections.length, follower.connections.length, follower.events.length], [1, 0, 2]);
});

test("a tab that is shown asks at once whether its leader is alive", async (t) => {
  const { clock, leader, follower } = await pair(t);
  leader.tabs.close();
  await follower.show();
  clock.tick(1_500);
  await settled();
  assert.equal(follower.connections.length, 1);
});

test("a leader that lost its lead keeps its connection until it follows", async (t) => {
  const { clock, leader, follower } = await pair(t);
  const old = leader.connection;
  leader.tabs.close();
  await follower.show();
  clock.tick(1_500);
  leader.tabs.open(); // it thaws
  await settled();
  assert.equal(old.state, "open");
  follower.connection.adopt("sse", welcome(changes(41, 42)));
  await settled();
  assert.equal(old.state, "open");
  await leader.reader.answer();
  assert.equal(old.state, "closed");
  assert.deepEqual(leader.events, ["rename sse", "open sse"]);
  follower.connection.push(changes(42, 43));
  await settled();
  assert.deepEqual(leader.documents.at(-1), [changes(42, 43), false]);
});

test("a follower ends if its leader has had no connection for long", async (t) => {
  const { clock } = site(t);
  const [first, second, third] = [await tab(), await tab(), await tab()];
  first.connection.adopt();
  await settled();
  await second.reader.answer();
  await third.reader.answer();
  first.subject.close();
  await settled();
  clock.tick(30_001); // the second one tries all the time
  await settled();
  clock.tick(1_500);
  await settled();
  assert.deepEqual(third.events.at(-1), `close ${CLOSE.lost} 0`);
});

test("a visible tab takes the lead from a hidden one that polls slowly", async (t) => {
  const { leader, follower } = await pair(t, { transport: "poll", hidden: true });
  await settled();
  assert.equal(follower.connections.length, 1);
  follower.connection.adopt("poll", changes(41, 42));
  await settled();
  await leader.reader.answer();
  assert.equal(leader.connection.state, "closed");
  await leader.show();
  assert.equal(leader.connections.length, 1, "a visible one is as good as another");
  await follower.show(true);
  assert.equal(leader.connections.length, 2);
});

test("a transport that holds its request is as fast in a hidden tab, so the lead stays there", async (t) => {
  const { follower } = await pair(t, { transport: "longpoll", hidden: true });
  await follower.show();
  assert.equal(follower.connections.length, 0);
});

test("a leader that loses its lead before it is connected gives up", async (t) => {
  site(t);
  const [one, two] = [await tab(), await tab()];
  const trial = one.connection;
  two.tabs._lead(() => {}, () => {}, true);
  await settled();
  assert.equal(trial.state, "closed");
});

test("messages of another kind are ignored", async (t) => {
  const { leader, follower } = await pair(t);
  const before = follower.documents.length;
  leader.tabs.post({ ref: "a:1", mark: "read", ids: [[1, 41]] });
  leader.tabs.post({});
  await settled();
  assert.deepEqual([follower.documents.length, follower.events.length], [before, 2]);
});

test("only the leader answers, and it follows no other leader", async (t) => {
  const { leader } = await pair(t);
  const stranger = new Tabs("alice");
  /** @type {any[]} */
  const answers = [];
  stranger.on("message", (message) => answers.push(message));
  stranger.open();
  stranger.post({ hello: true });
  stranger.post({ name: "poll", slow: false, text: JSON.stringify(PING) });
  await settled();
  assert.deepEqual(answers, [{ name: "sse", slow: false, text: JSON.stringify(PING) }]);
  assert.deepEqual([leader.readers.length, leader.subject.name], [0, "sse"]);
});

test("a leader that lost its lead reads again, and its commands go by POST", async (t) => {
  const { leader, follower } = await pair(t);
  leader.subject.close();
  await settled();
  follower.connection.adopt("websocket");
  const thief = await tab();
  thief.tabs._lead(() => {}, () => {}, true);
  await settled();
  assert.equal(follower.subject.send({}), false);
  thief.tabs.post({ name: "sse", slow: false, text: JSON.stringify(PING) });
  await settled();
  assert.deepEqual(follower.readers.map(({ state }) => state), ["closed", "connecting"]);
});

test("a sign of life is requested through a socket", async (t) => {
  const { leader } = await pair(t, { transport: "websocket" });
  leader.connection.doubt();
  assert.deepEqual(leader.connection.sent, [PING]);
});

test("a transport that was never open ends with the name of the one that was tried", async (t) => {
  site(t);
  const it = await tab();
  it.connection.lose();
  assert.deepEqual([it.events, it.subject.name], [[`close ${CLOSE.lost} 0`], "sse"]);
});

test("a tab of another user does not follow", async (t) => {
  await pair(t);
  const bob = await tab({ user: "bob" });
  assert.deepEqual([bob.connections.length, bob.readers.length], [1, 0]);
});
