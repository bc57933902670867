/**
 * Builds notify/static/notify/ from src/. It builds the same bytes on every
 * machine, so that CI can compare them with those that are committed.
 */
import { generateDtsBundle } from "dts-bundle-generator";
import { build } from "esbuild";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { minify } from "terser";
import ts from "typescript";

const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url));

/** @type {import("esbuild").BuildOptions} */
const common = {
  absWorkingDir: here("."),
  // Addresses in the source map are relative to this folder, wherever the files are written.
  outdir: here("."),
  write: false,
  bundle: true,
  minify: true,
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
};

/** Stands in the source maps for the folder of the checkout, which means nothing on another machine. */
const ROOT = "notify-client:///";

/** Names of the modules' own agreements, which no page, document, message or storage sees: src/README.md. */
const INTERNAL = /^_/;

/** The oldest browsers that docs/reference/elements.md and the README name. */
const BROWSERS = ["chrome105", "firefox115", "safari15.6"];

/**
 * The modules of notify.js in the order in which it compresses best: it is longer than the 32 KB that gzip looks back, so
 * that alike modules have to be near each other. The order means nothing else, and a module that is missing here follows.
 */
const ORDER = [
  "platform/json", "link/transports/transport", "protocol", "platform/stored-value", "platform/href", "platform/dom",
  "platform/clock", "link/backoff", "link/lifecycle", "platform/timer", "link/liveness", "link/race",
  "platform/emitter", "link/tabs", "link/transports/push", "link/transports/shared", "link/transports/poll",
  "link/connection", "link/network", "mailbox/commands", "toasts/toasts", "mailbox/store", "link/ladder",
  "mailbox/client", "platform/icons", "stage/page-watch", "speech/active-tab", "platform/labels", "toasts/more",
  "toasts/toast-view", "speech/announcer", "toasts/toast-list", "stage/ducking", "stage/top-layer",
  "toasts/toast-sync", "stage/stage", "toasts/keeper", "elements/root",
];

/** Makes index.js import the modules in that order. @type {import("esbuild").Plugin} */
const ordered = {
  name: "ordered",
  setup: ({ onLoad }) => {
    const imports = ORDER.map((name) => `import "./${name}.js";`).join("");
    onLoad({ filter: /src[\\/]index\.js$/ }, async ({ path }) => ({ contents: imports + (await readFile(path, "utf8")) }));
  },
};

/** The scripts, each one module with its source map. */
async function scripts() {
  const entryPoints = { page: "src/page.js", news: "src/news.js", outside: "src/outside.js", notify: "src/index.js", task: "src/task.js", tasks: "src/tasks.js", inbox: "src/inbox.js", "signed-out": "src/signed-out.js" };
  const output = /** @type {const} */ ({ format: "esm", target: BROWSERS, sourcemap: "external", mangleProps: INTERNAL });
  const result = await build({ ...common, ...output, entryPoints, inject: ["src/platform/document.js"], plugins: [ordered] });
  const made = new Map(result.outputFiles?.map(({ path, text }) => [basename(path), text]));
  return Promise.all(
    Object.keys(entryPoints).map(async (name) => {
      const { code, map } = await shrink(`${name}.js`, made.get(`${name}.js`) ?? "", made.get(`${name}.js.map`) ?? "");
      return { name: `${name}.js`, code, map };
    }),
  );
}

/**
 * terser makes what esbuild leaves 4 % smaller; alone it would leave more than both.
 * @param {string} name
 * @param {string} code
 * @param {string} map
 */
function shrink(name, code, map) {
  return minify(
    { [name]: code },
    {
      module: true,
      ecma: 2020,
      // "unsafe" would change code that redefines String or Error, and arrows code that calls `new` on a function: we have none.
      compress: { passes: 3, hoist_funs: true, lhs_constants: false, pure_getters: true, sequences: false, unsafe: true, unsafe_arrows: true, unsafe_math: true },
      sourceMap: { content: map, filename: name, url: `${name}.map`, root: ROOT, includeSources: true },
    },
  );
}

/** Nothing is rewritten for old browsers: one that does not know a newer rule skips it. */
function styles() {
  return build({ ...common, entryPoints: { notify: "src/notify.css", inbox: "src/inbox.css", panel: "src/panel.css" }, target: "esnext" });
}

/** The declarations of types.ts and of the types that it names in src/, in one file. */
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
 * Declarations without the members that are ours alone, which TypeScript would declare as well.
 * @param {string} text
 */
function published(text) {
  const file = ts.createSourceFile("module.d.ts", text, ts.ScriptTarget.Latest, true);
  const members = file.statements.flatMap((node) => (ts.isClassDeclaration(node) ? [...node.members] : []));
  const internal = members.filter(({ name }) => name && INTERNAL.test(name.getText()));
  return internal.reduceRight((left, { pos, end }) => left.slice(0, pos) + left.slice(end), text);
}

/** @param {string} [target] folder */
export async function bundle(target = here("../notify/static/notify")) {
  const [made, { outputFiles }] = await Promise.all([scripts(), styles()]);
  await mkdir(target, { recursive: true });
  for (const { name, code, map } of made) {
    await writeFile(join(target, name), `${code}\n`);
    await writeFile(join(target, `${name}.map`), String(map));
  }
  for (const { path, contents } of outputFiles ?? []) await writeFile(join(target, basename(path)), contents);
  await writeFile(join(target, "notify.d.ts"), await types());
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await bundle();
