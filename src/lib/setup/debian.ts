import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { toTorbizError } from "../errors";
import { runStep } from "./run-step";
import { findCommand, type SetUpSurroundings } from "./surroundings";

/** A Debian-like system on which we may install packages. */
export interface Debian {
  /** "debian", "ubuntu", ... */
  id: string;
  /** "bookworm", "noble", ... Empty where the system doesn't say. */
  codename: string;
}

/** The system, when it is Debian-like and we are root on it; undefined otherwise: then nothing can be installed. */
export async function findDebian(surroundings: SetUpSurroundings): Promise<Debian | undefined> {
  const { platform, uid = process.getuid?.(), root = "/" } = surroundings;
  if (platform !== "linux" || uid !== 0) return undefined;
  // os-release(5) is how a Linux system says what it is.
  const text = await readFile(join(root, "etc", "os-release"), "utf8").catch(() => "");
  const field = (name: string) => new RegExp(`^${name}="?([^"\n]*)"?$`, "m").exec(text)?.[1] ?? "";
  const debianLike = [field("ID"), ...field("ID_LIKE").split(" ")].includes("debian");
  if (!debianLike || !(await findCommand(surroundings, "apt-get"))) return undefined;
  return { id: field("ID"), codename: field("VERSION_CODENAME") };
}

/**
 * This machine's own apt sources, with their names in /etc/apt: where they are a mirror in the house, Debian's own servers
 * may be out of reach.
 */
export function aptSources({ root = "/" }: SetUpSurroundings): { path: string; name: string }[] {
  return ["sources.list", join("sources.list.d", "debian.sources")]
    .map((name) => ({ path: join(root, "etc", "apt", name), name }))
    .filter(({ path }) => existsSync(path));
}

/** For how long another apt is waited for, as unattended upgrades on a new machine, or another step of ours. */
const LOCK_SECONDS = 120;

/**
 * Installs Debian packages and what they depend on, nothing more.
 * @throws TorbizError setup-failed
 */
export async function installPackages(surroundings: SetUpSurroundings, packages: readonly string[]): Promise<void> {
  const { onProgress } = surroundings;
  onProgress({ stage: "setting-up", message: "Reading the package lists (apt-get update)", progress: null });
  await aptGet(surroundings, ["update"], 300_000);
  onProgress({
    stage: "setting-up",
    message: `Installing packages (apt-get install ${packages.join(" ")})`,
    progress: null,
  });
  await aptGet(surroundings, ["install", "-y", "--no-install-recommends", ...packages], 900_000);
  surroundings.onChanged?.(`Installed ${packages.join(", ")}`);
}

/** apt waits by itself for dpkg's lock, and for none of its own: those of the lists and of the archives. */
async function aptGet(surroundings: SetUpSurroundings, args: readonly string[], timeoutMs: number): Promise<void> {
  const env = { DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C.UTF-8" };
  for (const end = performance.now() + LOCK_SECONDS * 1000; ;) {
    try {
      await runStep(surroundings, "apt-get", ["-o", `DPkg::Lock::Timeout=${LOCK_SECONDS}`, ...args], {
        timeoutMs,
        env,
      });
      return;
    } catch (error) {
      const { lines = [] } = (toTorbizError(error).details ?? {}) as { lines?: readonly string[] };
      if (!lines.some((line) => line.startsWith("E: Could not get lock")) || performance.now() > end) throw error;
      surroundings.onProgress({ stage: "setting-up", message: "Waiting for another apt to end", progress: null });
      // The next attempt tells of an interruption.
      await sleep(1_000, undefined, { signal: surroundings.signal }).catch(() => undefined);
    }
  }
}
