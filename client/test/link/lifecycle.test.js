import assert from "node:assert/strict";
import { test } from "node:test";
import { Emitter } from "../../src/platform/emitter.js";
import { tellLife } from "../../src/link/lifecycle.js";

/** A connection that does as the test says. */
class FakeConnection extends Emitter {
  /** @param {string} name @param {unknown} [detail] */
  say(name, detail) {
    this.emit(name, detail);
  }
  state = "closed";
  transport = "";
  /** @param {string} state */
  become(state, transport = "") {
    Object.assign(this, { state, transport });
    this.emit("state");
  }
  /** @param {string} name */
  adopt(name) {
    this.become("open", name);
    this.emit("rename");
    this.emit("open");
  }
  /** @param {string} transport @param {string} reason */
  lose(transport, reason, { inUse = true, returns = true } = {}) {
    this.emit("lost", { transport, reason, inUse, returns });
    this.become(returns ? "waiting" : "closed");
  }
}

function life() {
  const connection = new FakeConnection();
  /** @type {any[]} */
  const told = [];
  const cycle = tellLife(/** @type {any} */ (connection), (name, detail) => told.push(detail === null ? [name] : [name, detail]));
  /** What was told since it was asked last. */
  return { connection, cycle, told: () => told.splice(0) };
}

test("a first connection: connecting, then connect, with what it brought", () => {
  const { connection, cycle, told } = life();
  connection.become("connecting");
  cycle.recovered = 3;
  connection.adopt("sse");
  assert.deepEqual(told(), [["connecting"], ["connect", { transport: "sse", recovered: 3 }]]);
});

test("a loss, an attempt that fails, one that succeeds", () => {
  const { connection, cycle, told } = life();
  connection.become("connecting");
  connection.adopt("websocket");
  told();
  cycle.recovered = 9;
  connection.lose("websocket", "lost");
  assert.deepEqual(told(), [["disconnect", { reason: "lost", returns: true }]]);
  connection.become("connecting");
  connection.lose("websocket", "timeout", { inUse: false });
  connection.become("connecting");
  cycle.recovered += 2;
  connection.adopt("websocket");
  assert.deepEqual(told(), [
    ["connecting"],
    ["reconnect_attempt", { attempt: 1 }],
    ["connect_error", { transport: "websocket", reason: "timeout" }],
    ["connecting"],
    ["reconnect_attempt", { attempt: 2 }],
    ["connect", { transport: "websocket", recovered: 2 }],
    ["reconnect", { attempt: 2, recovered: 2 }],
  ]);
  connection.lose("websocket", "timeout");
  connection.become("connecting");
  assert.deepEqual(told().at(-1), ["reconnect_attempt", { attempt: 1 }], "counted anew after each connection");
});

test("a move to another transport is one, and neither a disconnect nor a connect", () => {
  const { connection, told } = life();
  connection.become("connecting");
  connection.adopt("poll");
  told();
  connection.adopt("websocket");
  connection.say("rename");
  assert.deepEqual(told(), [["transport", { from: "poll", to: "websocket" }]]);
});

test("a probe that fails is nobody's business", () => {
  const { connection, told } = life();
  connection.become("connecting");
  connection.adopt("poll");
  told();
  connection.say("lost", { transport: "websocket", reason: "timeout", inUse: false, returns: true });
  assert.deepEqual(told(), []);
});

test("the server's last word is told once, also when a probe brings it", () => {
  for (const inUse of [true, false]) {
    const { connection, told } = life();
    connection.become("connecting");
    connection.adopt("poll");
    told();
    connection.lose("poll", "kicked", { inUse, returns: false });
    assert.deepEqual(told(), [["disconnect", { reason: "kicked", returns: false }]]);
  }
});

test("who closes the client hears that, and starts counting anew", () => {
  const { connection, told } = life();
  connection.become("connecting");
  connection.adopt("websocket");
  told();
  connection.become("closed");
  connection.become("connecting");
  connection.adopt("websocket");
  assert.deepEqual(told(), [
    ["disconnect", { reason: "client", returns: false }],
    ["connecting"],
    ["connect", { transport: "websocket", recovered: 0 }],
  ]);
});
