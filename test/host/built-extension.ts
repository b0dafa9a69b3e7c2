import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

const ROOT = resolve(import.meta.dirname, "../..");
const BUILDS = join(ROOT, "test-results", "host-extension");
const exec = promisify(execFile);

/**
 * The extension as a user gets it. Built once a run: the folder is the process's own, so that runs don't meet.
 * HOST_EXTENSION names one that is built already.
 */
export async function builtExtension(): Promise<string> {
  if (process.env.HOST_EXTENSION) return resolve(ROOT, process.env.HOST_EXTENSION);
  const folder = join(BUILDS, String(process.pid));
  mkdirSync(BUILDS, { recursive: true });
  for (const name of readdirSync(BUILDS)) if (!isAlive(Number(name))) rmSync(join(BUILDS, name), { recursive: true });
  if (readdirSync(BUILDS).includes(String(process.pid))) return folder;
  await exec(process.execPath, [join(ROOT, "scripts", "stage-assets.mjs")], { cwd: ROOT });
  await buildExtension(ROOT, folder);
  return folder;
}

/** @throws with what `ray build` said */
export async function buildExtension(source: string, folder: string): Promise<void> {
  const ray = join(ROOT, "node_modules", "@raycast", "api", "bin", "run.js");
  try {
    await exec(process.execPath, [ray, "build", "-e", "dist", "-o", folder], { cwd: source });
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`The extension in ${source} can't be built:\n${stdout}${stderr}`, { cause: error });
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
