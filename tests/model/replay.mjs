/**
 * Replays through the real store what the model's clients heard, and compares after each line.
 *
 *     node tests/model/replay.mjs < traces    a line of JSON for each client, see trace.py
 */

import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { Store } from "../../client/src/mailbox/store.js";
import "../../client/test/kit/custom-event.js";

globalThis.setTimeout = /** @type {any} */ (() => 0); // the model has no clock
let now = 0;
globalThis.Date = /** @type {any} */ (class { toJSON = () => String(++now) }); // each mark has its own moment

const MARKS = ["seen_at", "read_at", "archived_at", "dismissed_at", "acted_at"];

/** @type {Record<string, (store: Store, args: any[]) => unknown>} */
const actions = {
  apply: (store, [document, authoritative]) => store._apply(document, authoritative),
  mark: (store, [mark, shown, ref]) => store._mark(mark, shown, ref),
  ack: (store, [ref, cursor]) => store._acknowledge(ref, cursor),
  fail: (store, [ref]) => store._fail(ref),
};

/** @param {Store} store */
function state(store) {
  const rows = store.all().map((/** @type {any} */ row) => [row.id, [row.position, ...MARKS.map((name) => Boolean(row[name]))]]);
  const { cursor, complete, counts } = store;
  return { cursor, complete, counts, rows: Object.fromEntries(rows) };
}

let [clients, lines] = [0, 0];
for await (const line of createInterface({ input: process.stdin })) {
  /** @type {number[]} */
  let fresh = [];
  const listen = (/** @type {Store} */ store) => {
    store.addEventListener("change", (/** @type {any} */ { detail }) => detail.fresh && fresh.push(detail.notification.id));
    return store;
  };
  let store = listen(new Store());
  for (const step of JSON.parse(line)) {
    fresh = [];
    if (step.what === "restore") {
      const saved = JSON.parse(JSON.stringify(store._save(step.args[0])));
      store = listen(new Store());
      store._restore(saved);
    } else {
      actions[step.what](store, step.args);
    }
    const expected = { ...step.state, fresh: step.fresh ?? [] };
    assert.deepEqual({ ...state(store), fresh }, expected, `Client ${clients}, after ${JSON.stringify([step.what, step.args])}`);
    lines += 1;
  }
  clients += 1;
}
console.log(JSON.stringify({ clients, lines }));
