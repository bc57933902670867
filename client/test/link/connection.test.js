import assert from "node:assert/strict";
import { test } from "node:test";
import { Connection } from "../../src/link/connection.js";
import { now } from "../../src/platform/clock.js";
import { Emitter } from "../../src/platform/emitter.js";
import { Network } from "../../src/link/network.js";
import { clock } from "../kit/clock.js";
import { changes, FakePage, FakeStorage, forbidStorage, globals, eventsOf, settled, snapshot, welcome } from "../kit/helpers.js";

class FakeTransport extends Emitter {
  /** @type {any[]} */
  sent = [];
  opened = false;
  closed = false;
  asked = 0;
  awake = 0;
  /** @type {number | undefined} */
  _used = undefined;
  /** @param {string} name */
  constructor(name) {
    super();
    this.name = name;
    this._greets = name === "websocket" || name === "sse";
  }
  open() {
    this.opened = true;
  }
  close() {
    this.closed = true;
  }
  ask() {
    this.asked += 1;
  }
  wake() {
    this.awake += 1;
  }
  /** @param {object} document */
  send(document) {
    this.sent.push(document);
    return this._greets;
  }
  answer() {
    this._emit("open");
  }
  /** @param {unknown} document */
  push(document, own = false) {
    this._emit("message", { data: typeof document === "string" ? document : JSON.stringify(document), own });
  }
  /** @param {number} code */
  end(code, retryAfter = 0) {
    this.closed = true;
    this._emit("close", { code, _retryAfter: retryAfter });
  }
}

/** @param {import("node:test").TestContext} t */
function connection(t, names = ["websocket", "poll"], storage = new FakeStorage()) {
  clock.start(t);
  /** @type {FakeTransport[]} */
  const made = [];
  const [window, document] = [new FakePage(), new FakePage()];
  const ladder = names.map((name) => ({
    names: [name],
    _make: () => {
      const transport = new FakeTransport(name);
      made.push(transport);
      return transport;
    },
  }));
  t.mock.method(Math, "random", () => 1);
  globals({ localStorage: storage });
  const network = new Network();
  const subject = new Connection({ ladder, window, document, network });
  subject.open();
  return {
    ...{ subject, made, window, document, clock },
    documents: eventsOf(subject, "document"),
    ends: eventsOf(subject, "end"),
    get last() {
      return /** @type {FakeTransport} */ (made.at(-1));
    },
    get names() {
      return made.map(({ name }) => name);
    },
  };
}

const HELLO = welcome(changes(41, 42));

test("a socket is in use from its welcome on, not from its opening", (t) => {
  const it = connection(t);
  it.last.answer();
  assert.deepEqual([it.subject.state, it.subject.transport], ["connecting", ""]);
  it.last.push(HELLO);
  assert.deepEqual([it.subject.state, it.subject.transport], ["open", "websocket"]);
  assert.deepEqual(it.documents, [{ document: HELLO, own: false }]);
});

test("after 2.5 s without a first document the next one starts, and the first that is healthy is in use", (t) => {
  const it = connection(t);
  it.last.answer();
  it.clock.tick(2_499);
  assert.deepEqual(it.names, ["websocket"]);
  it.clock.tick(1);
  assert.deepEqual([it.names, it.made[0].closed], [["websocket", "poll"], false]);
  it.last.answer();
  assert.deepEqual([it.subject.state, it.subject.transport], ["open", "poll"]);
});

test("after a socket fails, the poll is used at once", (t) => {
  const it = connection(t);
  it.last.end(1006);
  assert.deepEqual(it.names, ["websocket", "poll"]);
});

test("a document that answers the transport's own question is emitted as such", (t) => {
  const it = connection(t);
  it.last.push(HELLO, true);
  it.last.push(changes(42, 43));
  assert.deepEqual(it.documents.map(({ own }) => own), [true, false]);
});

test("a lost socket comes back with backoff, and then by poll if need be", (t) => {
  const it = connection(t);
  it.last.push(HELLO);
  it.last.end(1001);
  assert.equal(it.subject.state, "waiting");
  it.clock.tick(1_999);
  assert.equal(it.made.length, 1);
  it.clock.tick(1);
  assert.deepEqual([it.names, it.subject.state], [["websocket", "websocket"], "connecting"]);
  it.last.end(1006);
  it.last.end(1006);
  assert.deepEqual([it.names, it.subject.state], [["websocket", "websocket", "poll"], "waiting"]);
  it.clock.tick(4_000);
  assert.equal(it.made.length, 4, "the second wait is longer");
});

test("a connection that lasted makes the next wait short again", (t) => {
  const it = connection(t);
  for (const [tries, expected] of [2_000, 2_000, 4_000].entries()) {
    it.last.push(HELLO);
    it.clock.tick(4_999);
    it.last.end(1001);
    it.clock.tick(expected - 1);
    assert.equal(it.made.length, tries + 1);
    it.clock.tick(1);
    assert.equal(it.made.length, tries + 2);
  }
  it.last.push(HELLO);
  it.clock.tick(5_000);
  it.last.end(1001);
  it.clock.tick(2_000);
  assert.equal(it.made.length, 5);
});

test("Retry-After outweighs a shorter backoff", (t) => {
  const it = connection(t, ["poll"]);
  it.last.end(1006, 60_000);
  it.clock.tick(59_999);
  assert.equal(it.made.length, 1);
  it.clock.tick(1);
  assert.equal(it.made.length, 2);
});

test("while polling, sockets are probed with backoff, and the first that greets takes over", (t) => {
  const it = connection(t);
  it.last.end(1006);
  const poll = it.last;
  poll.answer();
  it.clock.tick(2_000);
  it.last.end(1006);
  it.clock.tick(1_999);
  assert.deepEqual(it.names, ["websocket", "poll", "websocket"]);
  it.clock.tick(1);
  assert.equal(it.subject.transport, "poll");
  assert.equal(poll.closed, false);
  it.last.push(HELLO);
  assert.deepEqual([it.subject.transport, poll.closed, it.names.length], ["websocket", true, 4]);
  const before = it.documents.length;
  poll.push(changes(42, 43));
  poll.end(4501);
  assert.deepEqual([it.documents.length, it.subject.state], [before, "open"], "what the poll sends after that is ignored");
});

test("after a socket that lasted, the next loss is probed soon again", (t) => {
  const it = connection(t);
  it.last.end(1006);
  it.last.answer();
  it.clock.tick(2_000);
  it.last.end(1006);
  it.clock.tick(4_000);
  it.last.push(HELLO);
  it.clock.tick(30_000);
  it.last.end(1006);
  it.clock.tick(2_000);
  it.last.end(1006);
  it.last.answer();
  const count = it.made.length;
  it.clock.tick(2_000);
  assert.equal(it.made.length, count + 1);
});

test("after one that broke soon, the next probe waits longer", (t) => {
  const it = connection(t);
  it.last.end(1006);
  it.last.answer();
  it.clock.tick(2_000);
  it.last.end(1006);
  it.clock.tick(2_000);
  it.last.push(HELLO);
  it.clock.tick(29_999);
  it.last.end(1006);
  it.clock.tick(2_000);
  it.last.end(1006);
  it.last.answer();
  const count = it.made.length;
  it.clock.tick(3_999);
  assert.equal(it.made.length, count);
  it.clock.tick(1);
  assert.equal(it.made.length, count + 1);
});

test("a late welcome of an earlier socket does not set the heartbeat", (t) => {
  const it = connection(t, ["websocket"]);
  const old = it.last;
  it.clock.tick(10_000);
  it.clock.tick(2_000);
  it.last.push(HELLO);
  old.push({ ...HELLO, heartbeat: 1_000 });
  it.clock.tick(35_000);
  assert.equal(it.subject.state, "waiting");
});

test("a probe that hangs is given up, and the poll goes on", (t) => {
  const it = connection(t);
  it.last.end(1006);
  it.last.answer();
  it.clock.tick(2_000);
  const probe = it.last;
  it.clock.tick(10_000);
  assert.deepEqual([probe.closed, it.subject.transport, it.subject.state], [true, "poll", "open"]);
  it.clock.tick(4_000);
  assert.equal(it.made.length, 4);
});

test("back on the network, a poll probes at once", (t) => {
  const it = connection(t);
  it.last.end(1006);
  it.last.answer();
  it.window.fire("online");
  assert.deepEqual(it.names, ["websocket", "poll", "websocket"]);
  it.window.fire("online");
  assert.equal(it.made.length, 3, "one probe at a time");
});

for (const [place, type] of /** @type {["window" | "document", string][]} */ ([["window", "online"], ["document", "visibilitychange"]])) {
  test(`${type} ends a wait`, (t) => {
    const it = connection(t, ["websocket"]);
    it.last.end(1006);
    it[place].fire(type);
    assert.equal(it.made.length, 2);
  });
}

test("a terminal code ends the connection for good, in use, on trial and as a probe", (t) => {
  for (const play of /** @type {((it: ReturnType<typeof connection>) => void)[]} */ ([
    (it) => it.last.push(HELLO),
    () => {},
    (it) => (it.last.end(1006), it.last.answer(), it.clock.tick(2_000)),
  ])) {
    const it = connection(t);
    play(it);
    it.last.end(4501);
    const count = it.made.length;
    it.clock.tick(1_000_000);
    it.window.fire("online");
    assert.deepEqual([it.subject.state, it.made.length, it.ends], ["closed", count, [{ code: 4501 }]]);
    assert.ok(it.made.every((transport) => transport.closed));
  }
});

test("an error before the welcome is a hint for developers, which the console shows", (t) => {
  const warn = t.mock.method(console, "warn", () => {});
  const it = connection(t);
  it.last.push({ type: "error", ref: null, code: "foreign_origin", message: "Pass on Host." });
  it.last.end(4503);
  assert.equal(it.subject.state, "closed");
  assert.deepEqual(
    warn.mock.calls.map(({ arguments: words }) => words),
    [["Pass on Host."]],
  );
});

test("an error that answers a command is none", (t) => {
  const warn = t.mock.method(console, "warn", () => {});
  const it = connection(t);
  it.last.push(HELLO);
  it.last.push({ type: "error", ref: 7, code: "too_many", message: "Too many." });
  assert.equal(warn.mock.callCount(), 0);
});

test("if a server is full, the poll is used at once, and the server is asked again within two minutes", (t) => {
  const it = connection(t);
  it.last.answer();
  it.last.end(4002);
  assert.deepEqual(it.names, ["websocket", "poll"]);
  it.last.answer();
  assert.deepEqual([it.subject.state, it.subject.transport, it.ends], ["open", "poll", []]);
  for (const count of [3, 4]) {
    it.clock.tick(119_999);
    assert.equal(it.made.length, count - 1);
    it.clock.tick(1);
    assert.deepEqual([it.last.name, it.made.length], ["websocket", count]);
    if (count === 3) it.last.end(4002);
  }
  it.last.push(HELLO);
  assert.equal(it.subject.transport, "websocket");
  it.clock.tick(10_000);
  it.last.end(1006);
  it.clock.tick(2_000);
  assert.equal(it.made.length, 5, "a connection that lasted has made the waits short again");
});

test("without a poll, a full server is asked again at the slowest pace", (t) => {
  const it = connection(t, ["websocket"]);
  it.last.end(4002);
  assert.equal(it.subject.state, "waiting");
  it.clock.tick(19_999);
  assert.equal(it.made.length, 1);
  it.clock.tick(1);
  assert.equal(it.made.length, 2);
});

test("a thousand tabs that a full server refuses do not storm it, nor when it has room again", (t) => {
  clock.start(t);
  let [seed, isFull, asked] = [1, true, 0];
  t.mock.method(Math, "random", () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647);
  class Socket extends FakeTransport {
    open() {
      asked += 1;
      if (isFull) this.end(4002);
      else this.push(welcome(changes(41, 42), 1_000));
    }
  }
  class Poll extends FakeTransport {
    open() {
      this.answer();
    }
  }
  const rung = (/** @type {string} */ name, /** @type {typeof FakeTransport} */ Kind) => ({ names: [name], _make: () => new Kind(name) });
  const page = () => ({ window: new FakePage(), document: new FakePage() });
  forbidStorage(); // these are not of one browser
  const tabs = Array.from({ length: 1_000 }, () => {
    const network = new Network();
    const tab = new Connection({ ladder: [rung("websocket", Socket), rung("poll", Poll)], ...page(), network });
    tab.open();
    return tab;
  });
  const busiest = (/** @type {number} */ seconds) => {
    let most = 0;
    for (let second = 0; second < seconds; second += 1) {
      asked = 0;
      clock.tick(1_000);
      most = Math.max(most, asked);
    }
    return most;
  };
  assert.ok(tabs.every((tab) => tab.transport === "poll"));
  const storm = busiest(300);
  assert.ok(storm > 0 && storm < 50, `${storm} handshakes in one second`);
  isFull = false;
  const rush = busiest(120);
  assert.ok(rush > 0 && rush < 50, `${rush} handshakes in one second`);
  assert.ok(tabs.every((tab) => tab.transport === "websocket"));
});

test("silence kills a socket, and it comes back", (t) => {
  const it = connection(t);
  it.last.push(HELLO);
  const first = it.last;
  it.clock.tick(34_999);
  assert.equal(it.subject.state, "open");
  it.clock.tick(1);
  assert.deepEqual([it.subject.state, first.closed], ["waiting", true]);
});

test("any document is a sign of life, also one of an unknown type", (t) => {
  const it = connection(t);
  it.last.push(HELLO);
  it.clock.tick(30_000);
  it.last.push({ type: "later" });
  it.clock.tick(34_999);
  assert.equal(it.subject.state, "open");
  assert.equal(it.documents.length, 1);
});

test("an invalid document ends the connection, but not the client", (t) => {
  const it = connection(t);
  it.last.push(HELLO);
  it.last.push("{");
  assert.deepEqual([it.subject.state, it.made[0].closed], ["waiting", true]);
});

test("a closed connection does nothing, and can be opened again", (t) => {
  const it = connection(t);
  it.last.push(HELLO);
  const old = it.last;
  it.subject.close();
  old.push(changes(42, 43));
  it.clock.tick(1_000_000);
  assert.deepEqual([it.subject.state, it.made.length, it.documents.length, old.closed], ["closed", 1, 1, true]);
  it.subject.open();
  it.subject.open();
  assert.deepEqual([it.subject.state, it.made.length], ["connecting", 2]);
});

const LADDER = ["websocket", "sse", "longpoll", "poll"];

test("each trial has 2.5 s before the next one starts, and ten before it is given up", (t) => {
  const it = connection(t, LADDER);
  it.clock.tick(2_499);
  assert.deepEqual(it.names, ["websocket"]);
  for (const [index, expected] of [2, 3, 4].entries()) {
    it.clock.tick(index ? 2_500 : 1);
    assert.equal(it.made.length, expected);
  }
  it.clock.tick(2_499);
  assert.deepEqual(it.made.map(({ closed }) => closed), [false, false, false, false]);
  it.clock.tick(1);
  assert.deepEqual(it.made.map(({ closed }) => closed), [true, false, false, false]);
  it.clock.tick(7_500);
  assert.deepEqual([it.made.every(({ closed }) => closed), it.subject.state], [true, "waiting"]);
});

test("a ping before the welcome means that the server is busy: for a minute no other trial starts", (t) => {
  const it = connection(t, LADDER);
  it.clock.tick(2_000);
  it.last.push({ type: "ping", cursor: null, ref: 0 });
  assert.deepEqual([it.subject.state, it.documents], ["connecting", []]);
  it.clock.tick(59_000);
  assert.deepEqual([it.names, it.last.closed], [["websocket"], false]);
  it.last.push(HELLO);
  assert.equal(it.subject.transport, "websocket");
});

test("a trial whose busy server has not welcomed it after a minute is given up", (t) => {
  const it = connection(t, LADDER);
  it.last.push({ type: "ping", cursor: null, ref: 0 });
  it.clock.tick(60_000);
  assert.deepEqual([it.names, it.made[0].closed], [["websocket", "sse"], true]);
});

test("a trial that fails is followed at once, unless another was started since", (t) => {
  const it = connection(t, LADDER);
  it.clock.tick(2_500);
  it.made[0].end(1006);
  assert.deepEqual(it.names, ["websocket", "sse"]);
  it.made[1].end(1006);
  assert.deepEqual(it.names, ["websocket", "sse", "longpoll"]);
});

test("when one has won, worse ones are closed, and a better one that is healthy later takes over", (t) => {
  const it = connection(t, LADDER);
  it.clock.tick(2_500);
  it.clock.tick(2_500);
  const [websocket, sse, longpoll] = it.made;
  sse.push(HELLO);
  assert.deepEqual([it.subject.transport, longpoll.closed, websocket.closed], ["sse", true, false]);
  it.clock.tick(2_500);
  assert.equal(it.made.length, 3, "no worse one is started");
  websocket.push(HELLO);
  assert.deepEqual([it.subject.transport, sse.closed], ["websocket", true]);
});

test("changes without a greeting do not make a connection, and the next trial starts at their end", (t) => {
  const it = connection(t, ["sse", "poll"]);
  it.last.push(changes(41, 42));
  assert.deepEqual([it.subject.state, it.documents], ["connecting", []]);
  it.last.end(1006);
  assert.deepEqual(it.names, ["sse", "poll"]);
});

test("in the background all better ones are probed, by the same race", (t) => {
  const it = connection(t, LADDER);
  for (let rung = 0; rung < 3; rung += 1) it.last.end(1006);
  it.last.answer();
  it.clock.tick(2_000);
  assert.deepEqual(it.names.slice(4), ["websocket"]);
  it.clock.tick(2_500);
  it.last.push(HELLO);
  assert.deepEqual([it.names.slice(4), it.subject.transport], [["websocket", "sse"], "sse"]);
  it.made[4].end(1006);
  it.clock.tick(4_000);
  assert.deepEqual(it.names.slice(6), ["websocket"], "from there only what is better still");
});

test("the next page starts with the transport that worked last, and probes better ones within two minutes", (t) => {
  const storage = new FakeStorage();
  const before = connection(t, LADDER, storage);
  before.last.end(1006);
  before.last.push(HELLO);
  before.subject.close();
  const it = connection(t, LADDER, storage);
  assert.deepEqual(it.names, ["sse"]);
  it.last.push(HELLO);
  it.clock.tick(20_000);
  it.last.push(changes(42, 42));
  it.clock.tick(30_000);
  it.last.push(changes(42, 42));
  it.clock.tick(30_000);
  it.last.push(changes(42, 42));
  it.clock.tick(30_000);
  it.last.push(changes(42, 42));
  it.clock.tick(9_999);
  assert.deepEqual(it.names, ["sse"]);
  it.clock.tick(1);
  assert.deepEqual(it.names, ["sse", "websocket"]);
});

test("a socket that worked last and is lost is probed soon", (t) => {
  const storage = new FakeStorage();
  const before = connection(t, LADDER, storage);
  before.last.push(HELLO);
  before.subject.close();
  const it = connection(t, LADDER, storage);
  it.last.push(HELLO);
  it.last.end(1006);
  it.clock.tick(20_000);
  it.last.end(1006);
  it.last.push(HELLO);
  assert.deepEqual([it.names, it.subject.transport], [["websocket", "websocket", "sse"], "sse"]);
  it.clock.tick(2_000);
  assert.equal(it.names.at(-1), "websocket");
});

test("a listener that learns that the connection is open may close it", (t) => {
  const it = connection(t);
  it.subject.on("state", () => it.subject.state === "open" && it.subject.close());
  it.last.push(HELLO);
  assert.deepEqual([it.subject.state, it.last.closed], ["closed", true]);
});

test("a transport that worked last but does not now is followed by all others, the best first", (t) => {
  const storage = new FakeStorage();
  clock.start(t);
  globals({ localStorage: storage });
  new Network()._remember("longpoll");
  const it = connection(t, LADDER, storage);
  for (let rung = 0; rung < 3; rung += 1) it.last.end(1006);
  assert.deepEqual(it.names, ["longpoll", "websocket", "sse", "poll"]);
});

/**
 * End the transport in use after a time; open one first if none is.
 * @param {ReturnType<typeof connection>} it
 * @param {number} life  ms
 * @param {number} [code]
 */
function shortLife(it, life, code = 1006) {
  it.last.push(HELLO);
  it.clock.tick(life);
  if (it.subject.state === "open") it.last.end(code);
  it.clock.tick(20_000);
}

test("a rung that breaks three times in a row is avoided for ten minutes, and the one below is used", (t) => {
  const it = connection(t, ["websocket", "sse"]);
  for (let life = 0; life < 3; life += 1) shortLife(it, 29_000);
  assert.deepEqual(it.names, ["websocket", "websocket", "websocket", "sse"]);
  it.last.push(HELLO);
  for (let minute = 0; minute < 9; minute += 1) {
    it.clock.tick(30_000);
    it.last.push(changes(42, 42));
    it.clock.tick(30_000);
    it.last.push(changes(42, 42));
  }
  assert.equal(it.made.length, 4);
  for (let half = 0; half < 6 && it.made.length === 4; half += 1) {
    it.clock.tick(30_000);
    it.made[3].push(changes(42, 42));
  }
  assert.equal(it.names[4], "websocket");
  shortLife(it, 29_000);
  assert.equal(it.last.name, "sse", "one more time is enough then");
});

test("a rung that lasts once has no strikes", (t) => {
  const it = connection(t, ["websocket", "sse"]);
  shortLife(it, 29_000);
  shortLife(it, 29_000);
  shortLife(it, 30_000);
  shortLife(it, 29_000);
  shortLife(it, 29_000);
  assert.ok(it.names.every((name) => name === "websocket"));
});

test("an end that the server orders is no strike", (t) => {
  const it = connection(t, ["websocket", "sse"]);
  for (let life = 0; life < 5; life += 1) shortLife(it, 1_000, 4000);
  assert.ok(it.names.every((name) => name === "websocket"));
});

test("an open but silent transport gets a strike: after three times the next one is used", (t) => {
  const it = connection(t, ["websocket", "sse"]);
  for (let life = 0; life < 3; life += 1) shortLife(it, 35_000);
  assert.deepEqual(it.names, ["websocket", "websocket", "websocket", "sse"]);
});

test("silence after a long life is no strike", (t) => {
  const it = connection(t, ["websocket", "sse"]);
  for (let life = 0; life < 4; life += 1) {
    it.last.push(HELLO);
    it.clock.tick(30_000);
    it.last.push(changes(42, 42));
    it.clock.tick(35_000);
    it.clock.tick(20_000);
  }
  assert.ok(it.names.every((name) => name === "websocket"));
});

test("another network clears all strikes", (t) => {
  const it = connection(t, ["websocket", "sse"]);
  for (let life = 0; life < 3; life += 1) shortLife(it, 1_000);
  assert.equal(it.last.name, "sse");
  it.last.push(HELLO);
  it.window.fire("online");
  assert.equal(it.last.name, "websocket");
});

test("a network that cuts silent connections is kept busy from its second cut on", (t) => {
  const it = connection(t, ["websocket"]);
  const doubts = eventsOf(it.subject, "doubt");
  for (let life = 0; life < 2; life += 1) {
    it.last.push(HELLO);
    it.last._used = now();
    it.clock.tick(10_000);
    it.last.end(1006);
    assert.equal(doubts.length, 0);
    it.clock.tick(4_000);
  }
  it.last.push(HELLO);
  it.clock.tick(4_999);
  assert.equal(doubts.length, 0);
  it.clock.tick(1);
  assert.equal(doubts.length, 1);
  it.clock.tick(5_000);
  assert.equal(doubts.length, 2);
  it.subject.close();
  it.clock.tick(100_000);
  assert.equal(doubts.length, 2);
});

test("ends after different silences teach nothing, nor do those that the server orders", (t) => {
  const storage = new FakeStorage();
  const it = connection(t, ["websocket"], storage);
  for (const [silence, code] of /** @type {[number, number][]} */ ([[10_000, 1006], [20_000, 1006], [7_000, 4000], [7_000, 4000]])) {
    it.last.push(HELLO);
    it.last._used = now();
    it.clock.tick(silence);
    it.last.end(code);
    it.clock.tick(20_000);
  }
  assert.equal(new Network()._beat, Infinity);
});

test("before the time that the server has set, nothing makes it try again", (t) => {
  const it = connection(t, ["poll"]);
  it.last.end(1006, 60_000);
  it.window.fire("online");
  it.document.fire("visibilitychange");
  it.clock.tick(59_999);
  assert.equal(it.made.length, 1);
  it.clock.tick(1);
  assert.equal(it.made.length, 2);
});

test("a wall clock that is set back delays no try", (t) => {
  const it = connection(t, ["poll"]);
  it.last.end(1006, 60_000);
  it.clock.step(-3_600_000);
  it.clock.tick(60_000);
  assert.equal(it.made.length, 2);
  it.last.end(1006, 1_000);
  it.clock.step(-3_600_000);
  it.clock.tick(1_000);
  it.window.fire("online");
  assert.equal(it.made.length, 3);
});

test("a wait of more than 24 days, which browsers would not wait at all, is waited", (t) => {
  const it = connection(t, ["poll"]);
  it.last.end(1006, 10 ** 12);
  it.clock.tick(3_600_000);
  assert.equal(it.made.length, 1);
});

test("until the time that the server has set, probes wait as well", (t) => {
  const it = connection(t, ["longpoll", "poll"]);
  it.last.end(1006, 60_000);
  it.last.answer();
  it.window.fire("online");
  it.clock.tick(59_999);
  assert.deepEqual(it.names, ["longpoll", "poll"]);
  it.clock.tick(1);
  assert.deepEqual(it.names, ["longpoll", "poll", "longpoll"]);
});

for (const [place, type] of /** @type {["window" | "document", string][]} */ ([["window", "pageshow"], ["document", "visibilitychange"], ["document", "resume"]])) {
  test(`after a sleep a dead connection is replaced at ${type}, without a wait`, (t) => {
    const it = connection(t, ["websocket"]);
    it.last.push(HELLO);
    it.clock.set(1_000_000 + 600_000);
    const before = it.made.length;
    it[place].fire(type);
    assert.deepEqual([before, it.made.length, it.made[0].closed], [1, 2, true]);
  });
}

test("another network is a reason to doubt: no sign of life in ten seconds means dead", (t) => {
  const it = connection(t, ["websocket"]);
  const doubts = eventsOf(it.subject, "doubt");
  it.last.push(HELLO);
  it.clock.tick(1_000);
  it.window.fire("online");
  it.clock.tick(9_999);
  assert.deepEqual([doubts.length, it.subject.state], [1, "open"]);
  it.clock.tick(1);
  assert.equal(it.subject.state, "waiting");
});

test("a tab that is visible again reads what is due", (t) => {
  const it = connection(t, ["poll"]);
  it.last.answer();
  it.document.hidden = true;
  it.document.fire("visibilitychange");
  assert.equal(it.last.awake, 0);
  it.document.hidden = false;
  it.document.fire("visibilitychange");
  assert.equal(it.last.awake, 1);
});

test('"open" is emitted after the first document of the transport', async (t) => {
  const it = connection(t, ["poll"]);
  /** @type {number[]} */
  const opened = [];
  it.subject.on("open", () => opened.push(it.documents.length));
  it.last.answer();
  it.last.push(snapshot(42), true);
  await settled();
  assert.deepEqual(opened, [1]);
});

test("a lost connection is emitted with its reason", (t) => {
  const it = connection(t, ["websocket", "sse"]);
  const lost = eventsOf(it.subject, "lost");
  it.last.push("{");
  it.last.push(HELLO);
  it.clock.tick(35_000);
  it.clock.tick(2_000);
  it.clock.tick(10_000);
  it.last.end(4001);
  assert.deepEqual(
    lost.map(({ transport, reason, _inUse: inUse }) => [transport, reason, inUse]),
    [
      ["websocket", "protocol", false],
      ["sse", "timeout", true],
      ["sse", "timeout", false],
      ["websocket", "server", false],
    ],
  );
});
