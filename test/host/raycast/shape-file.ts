import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

const HERE = import.meta.dirname;
const packages = createRequire(join(HERE, "index.ts"));
const READER = join(HERE, "api-shape.ts");

/** Node's arguments to run a TypeScript file as it is. */
export const RUN_TYPESCRIPT = ["--import", packages.resolve("tsx")];

let made: Promise<string> | undefined;

/** The file with the shape of the installed @raycast/api; made once for each version of it and of its reader. */
export function shapeFile(): Promise<string> {
  return (made ??= makeShapeFile());
}

async function makeShapeFile(): Promise<string> {
  const manifest = packages.resolve("@raycast/api/package.json");
  const hash = createHash("sha256");
  for (const file of [manifest, READER]) hash.update(readFileSync(file));
  const cache = join(dirname(manifest), "..", "..", ".cache", "raycast-host");
  const file = join(cache, `api-${hash.digest("hex").slice(0, 16)}.json`);
  if (!existsSync(file)) {
    await promisify(execFile)(process.execPath, [...RUN_TYPESCRIPT, READER, dirname(manifest), file]);
  }
  return file;
}
