import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { TorbizError } from "./errors";

/**
 * The folder that holds `docker/`, `python/` and `.dockerignore`: the checkout's root for the CLI, `assets/runtime` in
 * the installed extension (only assets/ ships with it).
 *
 * @param candidates folders to look in, first match wins
 * @throws TorbizError unexpected when none has them
 */
export function findRuntimeFiles(candidates: readonly string[] = [process.cwd()]): string {
  const found = candidates.find((folder) => existsSync(join(folder, "docker", "Dockerfile.macos")));
  if (!found) {
    throw new TorbizError("unexpected", `Torbiz's own files were not found in ${candidates.join(" or ")}.`, {
      hint: "Install Torbiz again.",
    });
  }
  return resolve(found);
}
