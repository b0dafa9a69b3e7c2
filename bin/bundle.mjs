import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const CACHE = join(ROOT, "node_modules", ".cache", "torbiz");

/**
 * The command in one file, which starts in a quarter of the time that its sources take one by one. It is made when it isn't
 * there for the sources as they are now, and stands where it finds their packages.
 *
 * @returns {Promise<string>} its URL
 * @throws the file system's error where it can't be written
 */
export async function bundle() {
  const file = join(CACHE, `cli-${stateOfSources()}.mjs`);
  if (!existsSync(file)) await make(file);
  return pathToFileURL(file).href;
}

/** Changes with whatever changes the bundle. */
function stateOfSources() {
  const state = createHash("sha256").update(ROOT);
  const sources = readdirSync(join(ROOT, "src"), { recursive: true, encoding: "utf8" }).sort();
  for (const path of [
    "package-lock.json",
    "tsconfig.json",
    "bin/bundle.mjs",
    ...sources.map((path) => join("src", path)),
  ]) {
    const { size, mtimeMs } = statSync(join(ROOT, path));
    state.update(`${path} ${size} ${mtimeMs}\n`);
  }
  return state.digest("hex").slice(0, 16);
}

async function make(file) {
  mkdirSync(CACHE, { recursive: true });
  const entry = join(ROOT, "src", "cli.ts");
  const { build } = await import("esbuild");
  const { outputFiles } = await build({
    entryPoints: [entry],
    ...{ bundle: true, write: false, packages: "external", platform: "node", format: "esm", target: "node20" },
    // It finds the other files from where its source is.
    define: { "import.meta.url": JSON.stringify(pathToFileURL(entry).href) },
    logLevel: "silent",
  });
  for (const old of readdirSync(CACHE)) if (!old.startsWith(basename(file))) rmSync(join(CACHE, old), { force: true });
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, outputFiles[0].contents);
  renameSync(draft, file);
}
