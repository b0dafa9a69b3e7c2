import { cpSync, existsSync, mkdirSync, rmSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";

/**
 * Copies what the image is built from into assets/runtime: only assets/ ships with the extension. Real files, never
 * links: the build would copy a link as an absolute one, which points to nowhere on another computer.
 */
const root = dirname(import.meta.dirname);
const stage = join(root, "assets", "runtime");
const INPUTS = join("docker", "inputs");

/** Whether a path of the checkout ships: not caches, and not what somebody put into the build's inputs. */
function ships(path) {
  const name = basename(path);
  if (name === "__pycache__" || name.endsWith(".pyc") || name.endsWith("_cache")) return false;
  return dirname(relative(root, path)) !== INPUTS || name === "README.txt";
}

rmSync(stage, { recursive: true, force: true });
for (const name of [".dockerignore", "docker", join("python", "torbiz"), join("python", "requirements")]) {
  const from = join(root, name);
  if (!existsSync(from)) throw new Error(`${from} is missing`);
  mkdirSync(dirname(join(stage, name)), { recursive: true });
  cpSync(from, join(stage, name), { recursive: true, dereference: true, preserveTimestamps: true, filter: ships });
}
