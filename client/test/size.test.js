import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { bundle } from "../build.js";

const FILES = ["notify.js", "notify.js.map", "notify.css", "notify.d.ts", "tasks.js", "tasks.js.map"];

/** What the sources build, in a folder of its own. */
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
  const [script, , style, , tasks] = await building;
  const limits = JSON.parse(await readFile(new URL("../package.json", import.meta.url), "utf8")).maxGzipBytes;
  for (const [name, text] of Object.entries({ "notify.js": script, "notify.css": style, "tasks.js": tasks })) {
    const size = gzipSync(text, { level: 9 }).length;
    assert.ok(size <= limits[name], `${name}: ${size} bytes gzipped, ${limits[name]} allowed`);
  }
});

test("what is committed is what the sources build, the same bytes wherever they go", async () => {
  const committed = await Promise.all(FILES.map((name) => readFile(new URL(`../../notify/static/notify/${name}`, import.meta.url), "utf8")));
  for (const [index, text] of (await building).entries()) {
    assert.ok(text === committed[index], `${FILES[index]} is out of date: npm run build`);
  }
});

test("the source map is named relatively and names no machine", async () => {
  const [script, map, style] = await building;
  assert.match(script, /\n\/\/# sourceMappingURL=notify\.js\.map\n$/);
  assert.ok(JSON.parse(map).sources.every((/** @type {string} */ source) => /^src\/[\w./-]+\.js$/.test(source)));
  assert.doesNotMatch(style, /sourceMappingURL/);
});

test("no markup in strings and no styles in scripts: strict policies hold", async () => {
  const [script] = await building;
  assert.doesNotMatch(script, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|cssText|\.style\b/);
});
