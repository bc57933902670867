import assert from "node:assert/strict";
import { test } from "node:test";
import { compare, isTerminal, judgeChanges, parse, parseCursor } from "../src/protocol.js";
import { vectors } from "./kit/helpers.js";

const cursors = vectors("cursor");
const documents = vectors("documents");

test("a cursor is an epoch and a position", () => {
  for (const { cursor, epoch, position } of cursors.valid) assert.deepEqual(parseCursor(cursor), { epoch, position });
});

test("an invalid cursor is refused, alone and inside a document", () => {
  for (const cursor of cursors.invalid) {
    assert.throws(() => parseCursor(cursor), Error, JSON.stringify(cursor));
    assert.throws(() => parse(JSON.stringify({ type: "ping", cursor })), Error, JSON.stringify(cursor));
  }
});

test("cursors are ordered as pairs", () => {
  for (const [i, a] of cursors.ascending.entries()) {
    for (const [j, b] of cursors.ascending.entries()) assert.equal(Math.sign(compare(a, b)), Math.sign(i - j), `${a} and ${b}`);
  }
});

for (const { about, mine, since, cursor, reset, verdict } of vectors("rule")) {
  test(`the rule: ${about}`, () => {
    const changes = /** @type {any} */ ({ since, cursor, reset });
    assert.equal(judgeChanges(mine, changes), verdict);
  });
}

for (const [name, document] of Object.entries(documents.server)) {
  test(`a document of the server is read: ${name}`, () => assert.deepEqual(parse(JSON.stringify(document)), document));
}

for (const text of documents.wrong.server) {
  test(`a wrong document is refused: ${text.slice(0, 60)}`, () => assert.throws(() => parse(text), Error));
}

test("a document of a type of a later version is skipped", () => {
  assert.equal(parse('{"type": "later"}'), null);
  assert.equal(parse('{"type": "constructor"}'), null);
});

test("only 4500 to 4999 are terminal", () => {
  assert.deepEqual([1000, 1006, 4000, 4001, 4499, 4500, 4501, 4999].map(isTerminal), [false, false, false, false, false, true, true, true]);
});
