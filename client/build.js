/**
 * Builds notify/static/notify/ from src/: the same bytes each time, whatever
 * the machine, so that CI can compare them with what is committed.
 */
import { build } from "esbuild";
import { mkdir, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

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

/** @param {string} [target] folder */
export async function bundle(target = here("../notify/static/notify")) {
  const script = await build({
    ...common,
    entryPoints: { notify: "src/index.js" },
    format: "esm",
    target: "es2022",
    sourcemap: true,
    // A folder of a checkout says nothing to whoever installed the package.
    sourceRoot: "notify-client:///",
  });
  // Browsers that lack a newer rule skip it; nothing is rewritten for them.
  const style = await build({ ...common, entryPoints: { notify: "src/notify.css" }, target: "esnext" });
  await mkdir(target, { recursive: true });
  for (const { path, contents } of [...(script.outputFiles ?? []), ...(style.outputFiles ?? [])]) {
    await writeFile(join(target, basename(path)), contents);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await bundle();
