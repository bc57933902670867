/**
 * Builds notify/static/notify/ from src/: the same bytes each time, whatever
 * the machine, so that CI can compare them with what is committed.
 */
import { generateDtsBundle } from "dts-bundle-generator";
import { build } from "esbuild";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { minify } from "terser";
import ts from "typescript";

const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));

/** @type {import("esbuild").BuildOptions} */
const common = {
  absWorkingDir: here("."),
  // Addresses in the source map are relative to this, wherever the files go.
  outdir: here("."),
  write: false,
  bundle: true,
  minify: true,
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
};

/** A folder of a checkout says nothing to whoever installed the package. */
const ROOT = "notify-client:///";

/**
 * Properties that only our own modules name, and that nobody keeps or sends:
 * they are shortened. Not on this list are the client's public ones, those of
 * documents and messages, and those in storage, which another release reads.
 */
const INTERNAL = [
  ...["acknowledge", "alive", "announcer", "apply", "ask", "assertive", "authoritative", "avoidedUntil"],
  ...["backoff", "beat", "blurred", "build", "commands", "connection", "die", "doubt", "draw", "duck"],
  ...["ducked", "emit", "expand", "expanded", "fail", "fields", "focused", "forget", "giveWay", "greets", "hear"],
  ...["heard", "hold", "holds", "host", "idAt", "inUse", "isOn", "issue", "ladder", "late", "lead"],
  ...["learn", "leave", "limit", "list", "link/liveness", "make", "most", "move", "network", "nextRef", "over"],
  ...["patience", "pause", "polite", "probing", "reader", "refit", "region", "rehome", "remember", "renew", "resend"],
  ...["restore", "retryAfter", "rung", "save", "saveSoon", "say", "settle", "Source", "speaker", "speaks"],
  ...["strikes", "suspect", "tabs", "timer", "together", "toggleFocus", "topLayer", "trust", "update", "urgent", "used", "wake", "win", "winner"],
];

/**
 * The modules in an order in which gzip, which looks back 32 KB, finds most of
 * what it has seen before. One that is not named here comes after them.
 */
const ORDER = [
  ...["link/liveness", "platform/cell", "link/network", "link/transports/transport", "link/transports/push", "protocol", "link/transports/shared", "link/transports/poll"],
  ...["link/lifecycle", "link/backoff", "mailbox/store", "platform/href", "mailbox/commands", "toasts/toasts", "mailbox/seen", "link/race"],
  ...["toasts/keeper", "mailbox/client", "stage/page-watch", "link/tabs", "stage/ducking", "speech/active-tab", "toasts/toast-view", "link/connection"],
  ...["platform/labels", "toasts/toast-list", "elements/badge", "stage/top-layer", "platform/icons", "speech/announcer", "toasts/toast-sync", "platform/emitter"],
  ...["elements/root", "platform/dom", "stage/stage", "index"],
];

/** The main script, as one module, and its map. */
function script() {
  const contents = ORDER.map((name) => `${name === "index" ? "export * from" : "import"} "./src/${name}.js";`).join("\n");
  return module("notify.js", contents, { mangleProps: new RegExp(`^(${INTERNAL.join("|")})$`) });
}

/** The bars of tasks. It sees of the main script what a page sees, so no names are shortened. */
function tasks() {
  return module("tasks.js", 'import { start } from "./src/tasks.js"; start();');
}

/**
 * @param {string} name
 * @param {string} contents  what imports the rest
 * @param {import("esbuild").BuildOptions} [more]
 */
async function module(name, contents, more) {
  const stdin = { contents, resolveDir: here(".") };
  const result = await build({ ...common, ...more, stdin, format: "esm", target: "es2022", sourcemap: "external" });
  const [map, code] = ["stdin.js.map", "stdin.js"].map((made) => {
    return result.outputFiles?.find(({ path }) => basename(path) === made)?.text ?? "";
  });
  // What esbuild leaves, terser makes 4 % smaller; alone it makes more of it.
  return minify(
    { [name]: code },
    {
      module: true,
      ecma: 2020,
      compress: { passes: 3, lhs_constants: false, pure_getters: true },
      sourceMap: { content: map, filename: name, url: `${name}.map`, root: ROOT, includeSources: true },
    },
  );
}

/** Browsers that lack a newer rule skip it; nothing is rewritten for them. */
function style() {
  return build({ ...common, entryPoints: { notify: "src/notify.css" }, target: "esnext" });
}

/** The declarations of types.ts and of what it names in src/, in one file. */
async function types() {
  const folder = await mkdtemp(join(tmpdir(), "notify-types-"));
  try {
    const { config } = ts.readConfigFile(here("tsconfig.json"), ts.sys.readFile);
    const { options } = ts.parseJsonConfigFileContent(config, ts.sys, here("."));
    const only = { noEmit: false, declaration: true, emitDeclarationOnly: true, outDir: folder, rootDir: here(".") };
    ts.createProgram([here("types.ts")], { ...options, ...only }).emit(undefined, (path, text) => ts.sys.writeFile(path, published(text)));
    const output = { inlineDeclareGlobals: true, exportReferencedTypes: false, noBanner: true };
    const [text] = generateDtsBundle([{ filePath: join(folder, "types.d.ts"), output }], { preferredConfigPath: here("tsconfig.json") });
    return text;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/**
 * Declarations without the members that are marked @internal, which
 * TypeScript's own `stripInternal` leaves where the source is JavaScript.
 * @param {string} text
 */
function published(text) {
  const file = ts.createSourceFile("module.d.ts", text, ts.ScriptTarget.Latest, true);
  const members = file.statements.flatMap((node) => (ts.isClassDeclaration(node) ? [...node.members] : []));
  const internal = members.filter((member) => ts.getJSDocTags(member).some(({ tagName }) => tagName.text === "internal"));
  return internal.reduceRight((left, { pos, end }) => left.slice(0, pos) + left.slice(end), text);
}

/** @param {string} [target] folder */
export async function bundle(target = here("../notify/static/notify")) {
  const [main, bars, { outputFiles }] = await Promise.all([script(), tasks(), style()]);
  await mkdir(target, { recursive: true });
  for (const [name, { code, map }] of Object.entries({ "notify.js": main, "tasks.js": bars })) {
    await writeFile(join(target, name), `${code}\n`);
    await writeFile(join(target, `${name}.map`), String(map));
  }
  await writeFile(join(target, "notify.css"), outputFiles?.[0].contents ?? "");
  await writeFile(join(target, "notify.d.ts"), await types());
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await bundle();
