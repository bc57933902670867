import assert from "node:assert/strict";
import { test } from "node:test";
import { Emitter } from "../../src/platform/emitter.js";
import "../kit/custom-event.js";
import { reportLife } from "../../src/link/lifecycle.js";

/** A connection that the test controls. */
class FakeConnection extends Emitter {
  /** @param {string} name @param {unknown} [detail] */
  fire(name, detail) {
    this._emit(name, detail);
  }
  state = "closed";
  transport = "";
  /** @param {string} state */
  become(state, transport = "") {
    Object.assign(this, { state, transport });
    this._emit("state");
  }
  /** @param {string} name */
  adopt(name) {
    this.become("open", name);
    this._emit("rename");
    this._emit("open");
  }
  /** @param {string} transport @param {string} reason */
  lose(transport, reason, { inUse = true, returns = true } = {}) {
    this._emit("lost", { transport, reason, _inUse: inUse, returns });
    this.become(returns ? "waiting" : "closed");
  }
}

function life() {
  const connection = new FakeConnection();
  /** @type {any[]} */
  const emitted = [];
  const cycle = reportLife(/** @type {any} */ (connection), (name, detail) => emitted.push(detail === null ? [name] : [name, detail]));
  /** The events since the last call. */
  return { connection, cycle, emitted: () => emitted.splice(0) };
}

test("a first connection: connecting, then connect, with the number of new notifications", () => {
  const { connection, cycle, emitted } = life();
  connection.become("connecting");
  cycle.recovered = 3;
  connection.adopt("sse");
  assert.deepEqual(emitted(), [["connecting"], ["connect", { transport: "sse", recovered: 3 }]]);
});

test("a loss, an attempt that fails, one that succeeds", () => {
  const { connection, cycle, emitted } = life();
  connection.become("connecting");
  connection.adopt("websocket");
  emitted();
  cycle.recovered = 9;
  connection.lose("websocket", "lost");
  assert.deepEqual(emitted(), [["disconnect", { reason: "lost", returns: true }]]);
  connection.become("connecting");
  connection.lose("websocket", "timeout", { inUse: false });
  connection.become("connecting");
  cycle.recovered += 2;
  connection.adopt("websocket");
  assert.deepEqual(emitted(), [
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
  assert.deepEqual(emitted().at(-1), ["reconnect_attempt", { attempt: 1 }], "counted from one again after each connection");
});

test("a move to another transport is one, and neither a disconnect nor a connect", () => {
  const { connection, emitted } = life();
  connection.become("connecting");
  connection.adopt("poll");
  emitted();
  connection.adopt("websocket");
  connection.fire("rename");
  assert.deepEqual(emitted(), [["transport", { from: "poll", to: "websocket" }]]);
});

test("a probe that fails emits nothing", () => {
  const { connection, emitted } = life();
  connection.become("connecting");
  connection.adopt("poll");
  emitted();
  connection.fire("lost", { transport: "websocket", reason: "timeout", _inUse: false, returns: true });
  assert.deepEqual(emitted(), []);
});

test("a terminal close is emitted once", () => {
  const { connection, emitted } = life();
  connection.become("connecting");
  connection.adopt("poll");
  emitted();
  connection.lose("poll", "kicked", { inUse: true, returns: false });
  assert.deepEqual(emitted(), [["disconnect", { reason: "kicked", returns: false }]]);
});

test("closing the client emits a disconnect, and the attempts are counted from the start", () => {
  const { connection, emitted } = life();
  connection.become("connecting");
  connection.adopt("websocket");
  emitted();
  connection.become("closed");
  connection.become("connecting");
  connection.adopt("websocket");
  assert.deepEqual(emitted(), [
    ["disconnect", { reason: "client", returns: false }],
    ["connecting"],
    ["connect", { transport: "websocket", recovered: 0 }],
  ]);
});
