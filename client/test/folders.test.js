import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix, relative } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const SRC = fileURLToPath(new URL("../src", import.meta.url));

/** The folders from which each folder may import, as src/README.md says. @type {Record<string, string[]>} */
const IMPORTS = {
  platform: [],
  "protocol.js": [],
  link: ["platform", "protocol.js"],
  mailbox: ["link", "platform", "protocol.js"],
  speech: ["platform", "protocol.js"],
  toasts: ["mailbox", "platform", "protocol.js"],
  stage: ["toasts", "speech", "platform", "protocol.js"],
  elements: ["stage", "toasts", "mailbox", "platform", "protocol.js"],
  progress: ["platform", "protocol.js"],
  actions: ["platform", "protocol.js"],
  page: ["actions", "platform", "protocol.js"],
  news: ["platform", "protocol.js"],
  inbox: ["actions", "progress", "platform", "protocol.js"],
  "index.js": ["elements", "mailbox"],
  "page.js": ["page", "platform"],
  "news.js": ["news", "platform"],
  "outside.js": ["news", "platform"],
  "task.js": ["page"],
  "tasks.js": ["progress", "platform"],
  "inbox.js": ["inbox"],
  "signed-out.js": ["toasts"],
};

/** The folders that they may also name in types, which the build drops. @type {Record<string, string[]>} */
const TYPES = { actions: ["elements"], page: ["elements", "inbox.js", "toasts"], inbox: ["elements", "mailbox"], "inbox.js": ["elements"], progress: ["elements", "toasts"], news: ["elements", "toasts", "mailbox"], "page.js": ["elements"], "news.js": ["elements"], "outside.js": ["elements"], "tasks.js": ["elements"] };

/** @param {string} folder @returns {string[]} */
function modules(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return modules(path);
    return path.endsWith(".js") ? [relative(SRC, path).replaceAll("\\", "/")] : [];
  });
}

/**
 * The imports of a module: at run time, and in types.
 * @param {string} file
 */
function importsOf(file) {
  const text = readFileSync(join(SRC, file), "utf8");
  const find = (/** @type {RegExp} */ pattern) => [...text.matchAll(pattern)].map(([, path]) => posix.join(dirname(file), path));
  return { code: find(/^(?:import|export)(?: [^"\n]* from)? "(\.[^"]+)"/gm), types: find(/(?:@import [^"]*|import\()"(\.[^"]+)"/g) };
}

const files = modules(SRC);
const imports = Object.fromEntries(files.map((file) => [file, importsOf(file)]));

/** @param {string} file */
const folderOf = (file) => file.split("/")[0];

test("each module is in a folder, and each folder is on the map", () => {
  assert.deepEqual([...new Set(files.map(folderOf))].sort(), Object.keys(IMPORTS).sort());
  const map = readFileSync(join(SRC, "README.md"), "utf8");
  for (const folder of Object.keys(IMPORTS)) assert.ok(map.includes(`| \`${folder.endsWith(".js") ? folder : `${folder}/`}\` |`), folder);
  for (const file of files) assert.ok(map.includes(`\`${posix.basename(file)}\``), `${file} is not in src/README.md`);
});

for (const file of files) {
  test(`${file} imports in the permitted direction alone`, () => {
    const folder = folderOf(file);
    const permitted = [folder, ...IMPORTS[folder]];
    for (const other of imports[file].code) assert.ok(permitted.includes(folderOf(other)), `${file} imports ${other}`);
    const named = [...permitted, ...(TYPES[folder] ?? [])];
    for (const other of imports[file].types) assert.ok(named.includes(folderOf(other)), `${file} names types of ${other}`);
  });
}

test("no module imports itself, directly or through others", () => {
  /** @type {Map<string, string[]>} */
  const done = new Map();
  const visit = (/** @type {string} */ file, /** @type {string[]} */ way) => {
    assert.ok(!way.includes(file), [...way, file].join(" → "));
    if (done.has(file)) return;
    for (const other of imports[file].code) visit(other, [...way, file]);
    done.set(file, way);
  };
  for (const file of files) visit(file, []);
});

test("a folder never imports a folder that imports it", () => {
  const order = Object.keys(IMPORTS);
  for (const [folder, others] of Object.entries(IMPORTS)) {
    for (const other of others) assert.ok(order.indexOf(other) < order.indexOf(folder), `${folder} and ${other}`);
  }
});

test("no module compares the document, which the build replaces", () => {
  for (const file of files) assert.doesNotMatch(readFileSync(join(SRC, file), "utf8"), /[=!]== document\b(?!\.)|\bdocument [=!]==/, file);
});
