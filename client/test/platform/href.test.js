import assert from "node:assert/strict";
import { test } from "node:test";
import { safeHref } from "../../src/platform/href.js";
import { globals } from "../kit/helpers.js";

test("a link leads to the web, to a page of this site, or to a mailbox; to nothing else", () => {
  globals({ document: { baseURI: "https://example.org/a/" } });
  assert.equal(safeHref("/x/?y=1#z"), "https://example.org/x/?y=1#z");
  assert.equal(safeHref("b"), "https://example.org/a/b");
  assert.equal(safeHref("http://other.example/"), "http://other.example/");
  assert.equal(safeHref("mailto:a@example.org"), "mailto:a@example.org");
  for (const url of ["", "javascript:alert(1)", " JaVaScRiPt:alert(1)", "java\nscript:alert(1)", "\u0001javascript:alert(1)", "data:text/html,x", "vbscript:x", "blob:https://example.org/1", "http://["]) {
    assert.equal(safeHref(url), null, JSON.stringify(url));
  }
});
