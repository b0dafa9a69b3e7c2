import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { build, type OutputFile } from "esbuild";

const HERE = import.meta.dirname;
const packages = createRequire(join(HERE, "index.ts"));
const READER = join(HERE, "api-shape.ts");

const RUNNER = join(HERE, "runner", "main.ts");
const manifest = packages.resolve("@raycast/api/package.json");
/** Beside the packages, which what is made here imports. */
const CACHE = join(dirname(manifest), "..", "..", ".cache", "raycast-host");

let made: Promise<[string, string]> | undefined;

/**
 * What a command's process is started with: its program in one file, which starts in half the time of its sources, and the
 * shape of the installed @raycast/api, made once for each version of it and of its reader.
 */
export function runnerFiles(): Promise<[program: string, shape: string]> {
  return (made ??= Promise.all([makeProgram(), makeShapeFile()]));
}

async function makeProgram(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [RUNNER],
    ...{ bundle: true, write: false, packages: "external", platform: "node", format: "esm", target: "node20" },
    ...{ sourcemap: "inline", logLevel: "silent" },
  });
  const [{ contents }] = outputFiles as [OutputFile];
  const file = join(CACHE, `runner-${createHash("sha256").update(contents).digest("hex").slice(0, 16)}.mjs`);
  if (!existsSync(file)) {
    // Others may do the same: it comes whole.
    mkdirSync(CACHE, { recursive: true });
    const draft = `${file}.${process.pid}`;
    writeFileSync(draft, contents);
    renameSync(draft, file);
  }
  return file;
}

async function makeShapeFile(): Promise<string> {
  const hash = createHash("sha256");
  for (const file of [manifest, READER]) hash.update(readFileSync(file));
  const file = join(CACHE, `api-${hash.digest("hex").slice(0, 16)}.json`);
  if (!existsSync(file)) {
    const asTypeScript = ["--import", packages.resolve("tsx")];
    await promisify(execFile)(process.execPath, [...asTypeScript, READER, dirname(manifest), file]);
  }
  return file;
}
