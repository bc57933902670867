import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeStorage, globals } from "../kit/helpers.js";

test("a page on which nobody is signed in wipes the toasts and the line of the site, and no others", async () => {
  const storage = new FakeStorage();
  for (const name of ["notify:/notify/", "notify:/notify/news", "notify:/other/", "theirs"]) storage.setItem(name, "1");
  globals({ sessionStorage: storage, document: { querySelectorAll: () => [{ dataset: { notify: "/notify/" } }] } });
  await import("../../src/signed-out.js");
  assert.deepEqual([...storage.items.keys()], ["notify:/other/", "theirs"]);
});
