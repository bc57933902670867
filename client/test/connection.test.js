import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "../src/backoff.js";
import { Connection } from "../src/connection.js";
import { Closed } from "../src/transports/transport.js";
import { changes, FakePage, heard, welcome } from "./helpers.js";

class FakeTransport extends EventTarget {
  /** @type {any[]} */
  sent = [];
  opened = false;
  closed = false;
  asked = 0;
  /** @param {string} name */
  constructor(name) {
    super();
    this.name = name;
    this.greets = name === "websocket";
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
  /** @param {string} text */
  send(text) {
    this.sent.push(JSON.parse(text));
    return this.greets;
  }
  answer() {
    this.dispatchEvent(new Event("open"));
  }
  /** @param {unknown} document */
  say(document) {
    this.dispatchEvent(new MessageEvent("message", { data: typeof document === "string" ? document : JSON.stringify(document) }));
  }
  /** @param {number} code */
  end(code, retryAfter = 0) {
    this.dispatchEvent(new Closed(code, retryAfter));
  }
}

/** @param {import("node:test").TestContext} t */
function connection(t, names = ["websocket", "poll"]) {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  /** @type {FakeTransport[]} */
  const made = [];
  const [window, document] = [new FakePage(), new FakePage()];
  const ladder = names.map((name) => () => {
    const transport = new FakeTransport(name);
    made.push(transport);
    return transport;
  });
  const backoff = new Backoff({ random: () => 1 });
  const probing = new Backoff({ most: 120_000, random: () => 1 });
  const subject = new Connection({ ladder, window, document, backoff, probing });
  subject.open();
  return {
    ...{ subject, made, window, document, clock: t.mock.timers },
    documents: heard(subject, "document"),
    ends: heard(subject, "end"),
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
  it.last.say(HELLO);
  assert.deepEqual([it.subject.state, it.subject.transport], ["open", "websocket"]);
  assert.deepEqual(it.documents, [{ document: HELLO, authoritative: true }]);
});

test("a socket without a first document in 2.5 s is left for the poll", (t) => {
  const it = connection(t);
  it.last.answer();
  it.clock.tick(2_499);
  assert.deepEqual(it.names, ["websocket"]);
  it.clock.tick(1);
  assert.deepEqual([it.names, it.made[0].closed], [["websocket", "poll"], true]);
  it.last.answer();
  assert.deepEqual([it.subject.state, it.subject.transport], ["open", "poll"]);
});

test("a socket that fails is left for the poll at once", (t) => {
  const it = connection(t);
  it.last.end(1006);
  assert.deepEqual(it.names, ["websocket", "poll"]);
});

test("what a poll says is an answer, what a socket pushes is not", (t) => {
  const it = connection(t);
  it.last.say(HELLO);
  it.last.say(changes(42, 43));
  it.last.end(1006);
  it.clock.tick(2_000);
  it.last.end(1006);
  it.last.answer();
  it.last.say(changes(43, 44));
  assert.deepEqual(it.documents.map(({ authoritative }) => authoritative), [true, false, true]);
});

test("a lost socket comes back with backoff, and then by poll if need be", (t) => {
  const it = connection(t);
  it.last.say(HELLO);
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
    it.last.say(HELLO);
    it.clock.tick(4_999);
    it.last.end(1001);
    it.clock.tick(expected - 1);
    assert.equal(it.made.length, tries + 1);
    it.clock.tick(1);
    assert.equal(it.made.length, tries + 2);
  }
  it.last.say(HELLO);
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
  it.last.say(HELLO);
  assert.deepEqual([it.subject.transport, poll.closed, it.names.length], ["websocket", true, 4]);
  const before = it.documents.length;
  poll.say(changes(42, 43));
  poll.end(4501);
  assert.deepEqual([it.documents.length, it.subject.state], [before, "open"], "what the poll still says is not heard");
});

test("after a socket was had, the next loss is probed soon again", (t) => {
  const it = connection(t);
  it.last.end(1006);
  it.last.answer();
  it.clock.tick(2_000);
  it.last.end(1006);
  it.clock.tick(4_000);
  it.last.say(HELLO);
  it.last.end(1006);
  it.clock.tick(2_000);
  it.last.end(1006);
  it.last.answer();
  const count = it.made.length;
  it.clock.tick(2_000);
  assert.equal(it.made.length, count + 1);
});

test("a late welcome of an earlier socket does not set the heartbeat", (t) => {
  const it = connection(t, ["websocket"]);
  const old = it.last;
  it.clock.tick(2_500);
  it.clock.tick(2_000);
  it.last.say(HELLO);
  old.say({ ...HELLO, heartbeat: 1_000 });
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

test("a terminal code ends it for good, in use, on trial and as a probe", (t) => {
  for (const play of /** @type {((it: ReturnType<typeof connection>) => void)[]} */ ([
    (it) => it.last.say(HELLO),
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
    t.mock.timers.reset();
  }
});

test("a server that is full is left for the poll at once, and asked again within two minutes", (t) => {
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
  it.last.say(HELLO);
  assert.equal(it.subject.transport, "websocket");
  it.clock.tick(10_000);
  it.last.end(1006);
  it.clock.tick(2_000);
  assert.equal(it.made.length, 5, "a connection that lasted has made the waits short again");
});

test("where there is no poll, a full server is asked again at the slowest pace", (t) => {
  const it = connection(t, ["websocket"]);
  it.last.end(4002);
  assert.equal(it.subject.state, "waiting");
  it.clock.tick(19_999);
  assert.equal(it.made.length, 1);
  it.clock.tick(1);
  assert.equal(it.made.length, 2);
});

test("a thousand tabs that a full server refuses do not storm it, nor when it has room again", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  let [seed, isFull, asked] = [1, true, 0];
  const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
  class Socket extends FakeTransport {
    open() {
      asked += 1;
      if (isFull) this.end(4002);
      else this.say(welcome(changes(41, 42), 1_000));
    }
  }
  class Poll extends FakeTransport {
    open() {
      this.answer();
    }
  }
  const page = () => ({ window: new FakePage(), document: new FakePage() });
  const tabs = Array.from({ length: 1_000 }, () => {
    const backoff = new Backoff({ random });
    const probing = new Backoff({ most: 120_000, random });
    const tab = new Connection({ ladder: [() => new Socket("websocket"), () => new Poll("poll")], ...page(), backoff, probing });
    tab.open();
    return tab;
  });
  const busiest = (/** @type {number} */ seconds) => {
    let most = 0;
    for (let second = 0; second < seconds; second += 1) {
      asked = 0;
      t.mock.timers.tick(1_000);
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
  it.last.say(HELLO);
  const first = it.last;
  it.clock.tick(34_999);
  assert.equal(it.subject.state, "open");
  it.clock.tick(1);
  assert.deepEqual([it.subject.state, first.closed], ["waiting", true]);
});

test("any document is a sign of life, also one of a type that nobody knows", (t) => {
  const it = connection(t);
  it.last.say(HELLO);
  it.clock.tick(30_000);
  it.last.say({ type: "tick" });
  it.clock.tick(34_999);
  assert.equal(it.subject.state, "open");
  assert.equal(it.documents.length, 1);
});

test("nonsense ends the connection, not the client", (t) => {
  const it = connection(t);
  it.last.say(HELLO);
  it.last.say("{");
  assert.deepEqual([it.subject.state, it.made[0].closed], ["waiting", true]);
});

test("a closed connection rests, and opens again when told", (t) => {
  const it = connection(t);
  it.last.say(HELLO);
  const old = it.last;
  it.subject.close();
  old.say(changes(42, 43));
  it.clock.tick(1_000_000);
  assert.deepEqual([it.subject.state, it.made.length, it.documents.length, old.closed], ["closed", 1, 1, true]);
  it.subject.open();
  it.subject.open();
  assert.deepEqual([it.subject.state, it.made.length], ["connecting", 2]);
});
