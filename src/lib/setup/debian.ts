import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
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

/**
 * Installs Debian packages and what they depend on, nothing more.
 * @throws TorbizError setup-failed
 */
export async function installPackages(surroundings: SetUpSurroundings, packages: readonly string[]): Promise<void> {
  // Another apt may hold the lock (unattended upgrades do on a new machine): wait for it rather than fail.
  const lock = "DPkg::Lock::Timeout=120";
  const { onProgress } = surroundings;
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  onProgress({ stage: "setting-up", message: "Reading the package lists (apt-get update)", progress: null });
  await runStep(surroundings, "apt-get", ["-o", lock, "update"], { timeoutMs: 300_000, env });
  onProgress({
    stage: "setting-up",
    message: `Installing packages (apt-get install ${packages.join(" ")})`,
    progress: null,
  });
  const install = ["-o", lock, "install", "-y", "--no-install-recommends", ...packages];
  await runStep(surroundings, "apt-get", install, { timeoutMs: 900_000, env });
  surroundings.onChanged?.(`Installed ${packages.join(", ")}`);
}
