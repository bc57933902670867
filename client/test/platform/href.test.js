import assert from "node:assert/strict";
import { test } from "node:test";
import { safeHref } from "../../src/platform/href.js";

test("a link leads to the web, to a page of this site, or to a mailbox; to nothing else", () => {
  const base = "https://example.org/a/";
  assert.equal(safeHref("/x/?y=1#z", base), "https://example.org/x/?y=1#z");
  assert.equal(safeHref("b", base), "https://example.org/a/b");
  assert.equal(safeHref("http://other.example/", base), "http://other.example/");
  assert.equal(safeHref("mailto:a@example.org", base), "mailto:a@example.org");
  for (const url of ["", "javascript:alert(1)", " JaVaScRiPt:alert(1)", "java\nscript:alert(1)", "\u0001javascript:alert(1)", "data:text/html,x", "vbscript:x", "blob:https://example.org/1", "http://["]) {
    assert.equal(safeHref(url, base), null, JSON.stringify(url));
  }
});
