import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { gzip } from "pako";
import { bundle } from "../build.js";

const FILES = ["notify.js", "notify.js.map", "notify.css", "notify.d.ts", "tasks.js", "tasks.js.map", "signed-out.js", "signed-out.js.map", "inbox.css", "page.js", "page.js.map", "inbox.js", "inbox.js.map", "panel.css", "news.js", "news.js.map", "outside.js", "outside.js.map", "task.js", "task.js.map"];

/** The build of the sources, in its own folder. */
const building = (async () => {
  const folder = await mkdtemp(join(tmpdir(), "notify-client-"));
  try {
    await bundle(folder);
    return await Promise.all(FILES.map((name) => readFile(join(folder, name), "utf8")));
  } finally {
    await rm(folder, { recursive: true });
  }
})();

test("the script and the styles stay small", async () => {
  const texts = await building;
  const limits = JSON.parse(await readFile(new URL("../package.json", import.meta.url), "utf8")).maxGzipBytes;
  for (const [index, name] of FILES.entries()) {
    if (!(name in limits)) continue;
    // Not by node:zlib, whose figures differ between releases and builds of Node.
    const size = gzip(texts[index], { level: 9 }).length;
    assert.ok(size <= limits[name], `${name}: ${size} bytes gzipped, ${limits[name]} allowed`);
  }
});

test("the committed files are what the sources build, the same bytes in any folder", async () => {
  const committed = await Promise.all(FILES.map((name) => readFile(new URL(`../../notify/static/notify/${name}`, import.meta.url), "utf8")));
  for (const [index, text] of (await building).entries()) {
    assert.ok(text === committed[index], `${FILES[index]} is out of date: npm run build`);
  }
});

test("the source map has a relative name and names no machine", async () => {
  const [script, map, style] = await building;
  assert.match(script, /\n\/\/# sourceMappingURL=notify\.js\.map\n$/);
  assert.ok(JSON.parse(map).sources.every((/** @type {string} */ source) => /^src\/[\w./-]+\.js$/.test(source)));
  assert.doesNotMatch(style, /sourceMappingURL/);
});

test("no markup in strings and no styles in scripts: strict policies hold", async () => {
  const [script, , , , , , , , , page, , inbox, , , news, , outside] = await building;
  for (const text of [script, page, inbox, news, outside]) assert.doesNotMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|cssText|\.style\b/);
});

test("the declarations describe each type once, and nothing that is ours alone", async () => {
  const [, , , declarations] = await building;
  const comments = [...declarations.matchAll(/^\/\*\*[^]*?\*\//gm)].map(String);
  assert.deepEqual(comments.filter((comment, index) => comments.indexOf(comment) !== index), []);
  assert.doesNotMatch(declarations, /^\s*_\w/m);
});

test("the names that are ours alone are shortened", async () => {
  const [script, , , , tasks, , , , , page, , inbox, , , news, , outside] = await building;
  for (const text of [script, tasks, page, inbox, news, outside]) assert.doesNotMatch(text, /[.#{,;\s]_[a-z]\w{2,}/);
});
