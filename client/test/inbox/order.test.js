import assert from "node:assert/strict";
import { test } from "node:test";
import { fold, Order } from "../../src/inbox/order.js";
import { row } from "../kit/helpers.js";

/** @param {{shown: any[], waiting: any[]}} arranged */
function ids({ shown, waiting }) {
  return [shown.map(({ id }) => id), waiting.map(({ id }) => id)];
}

test("while nobody reads, the newest content comes first at once", () => {
  const order = new Order();
  assert.deepEqual(ids(order.arrange([row(2, 2), row(1, 1)], false)), [[2, 1], []]);
  assert.deepEqual(ids(order.arrange([row(1, 3), row(2, 2)], false)), [[1, 2], []]);
});

test("while somebody reads, new rows wait, and those with new content stay where they are", () => {
  const order = new Order();
  order.arrange([row(2, 2), row(1, 1)], false);
  assert.deepEqual(ids(order.arrange([row(3, 4), row(1, 3), row(2, 2)], true)), [[2, 1], [3]]);
  assert.deepEqual(ids(order.arrange([row(3, 4), row(1, 3), row(2, 2)], false)), [[3, 1, 2], []]);
});

test("older rows do not wait, because they come below", () => {
  const order = new Order();
  order.arrange([row(5, 5)], false);
  assert.deepEqual(ids(order.arrange([row(5, 5), row(4, 4)], true)), [[5, 4], []]);
});

test("nothing waits in a list that is begun anew", () => {
  const order = new Order();
  order.arrange([row(5, 5)], false);
  order.clear();
  assert.deepEqual(ids(order.arrange([row(6, 6), row(5, 5)], false)), [[6, 5], []]);
});

test("the rows of a group are below the newest of them", () => {
  const rows = [row(5, 5, { group: "a" }), row(4, 4), row(3, 3, { group: "a" }), row(2, 2)];
  assert.deepEqual(fold(rows).map(({ row, others }) => [row.id, ...others.map(({ id }) => id)]), [[5, 3], [4], [2]]);
});
