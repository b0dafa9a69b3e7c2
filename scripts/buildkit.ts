import { existsSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { TorbizError } from "../src/lib/errors";
import { aptSources, findDebian, type Debian } from "../src/lib/setup/debian";
import { runStep } from "../src/lib/setup/run-step";
import type { SetUpSurroundings } from "../src/lib/setup/surroundings";

const PACKAGE = "docker-buildx";
/** Debian's first release that has the package; it runs on these earlier ones, too. */
const RELEASE = "trixie";
const BEFORE = ["bullseye", "bookworm"];

/**
 * What makes `docker build` build with BuildKit, as it does for most people. Up to version 22 the docker command can by
 * itself, and later by its plugin buildx. Where that is missing (on Debian as root) it is taken from Debian's package, by
 * apt, which checks the signature, and put into a docker configuration of its own: everybody else's builder stays as it is.
 *
 * @param folder where that configuration is kept for the next time
 * @returns variables for the docker command
 * @throws TorbizError setup-failed
 */
export async function ensureBuildKit(folder: string, surroundings: SetUpSurroundings): Promise<NodeJS.ProcessEnv> {
  const DOCKER_BUILDKIT = "1";
  if ((await hasBuildx(surroundings)) || (await clientVersion(surroundings)) < 23) return { DOCKER_BUILDKIT };
  const DOCKER_CONFIG = join(folder, "docker");
  if (await hasBuildx(surroundings, DOCKER_CONFIG)) return { DOCKER_BUILDKIT, DOCKER_CONFIG };

  const debian = await findDebian(surroundings);
  if (!debian) {
    throw new TorbizError(
      "setup-failed",
      "The docker command can't build with BuildKit: its plugin buildx is missing.",
      {
        hint: "Install it, and try again.",
      },
    );
  }
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const plugin = await fetchPlugin(join(folder, "package"), surroundings, debian);
  copySettings(surroundings.env.DOCKER_CONFIG ?? join(surroundings.home, ".docker"), DOCKER_CONFIG);
  cpSync(plugin, join(DOCKER_CONFIG, "cli-plugins", PACKAGE));
  rmSync(join(folder, "package"), { recursive: true });
  if (!(await hasBuildx(surroundings, DOCKER_CONFIG))) {
    throw new TorbizError("setup-failed", `Debian's ${PACKAGE} doesn't run with this docker command.`);
  }
  surroundings.onChanged?.(`Fetched Debian's package ${PACKAGE}, for the tests alone: it is in ${folder}`);
  return { DOCKER_BUILDKIT, DOCKER_CONFIG };
}

/** Which engine is meant, and how it is reached; nobody's logins. */
function copySettings(from: string, to: string): void {
  mkdirSync(to, { recursive: true });
  const [file, contexts] = [join(from, "config.json"), join(from, "contexts")];
  if (existsSync(contexts)) cpSync(contexts, join(to, "contexts"), { recursive: true });
  if (!existsSync(file)) return;
  const settings = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
  for (const logins of ["auths", "credsStore", "credHelpers"]) delete settings[logins];
  writeFileSync(join(to, "config.json"), JSON.stringify(settings));
}

async function hasBuildx(surroundings: SetUpSurroundings, DOCKER_CONFIG?: string): Promise<boolean> {
  const env = DOCKER_CONFIG === undefined ? {} : { DOCKER_CONFIG };
  return runStep(surroundings, "docker", ["buildx", "version"], { timeoutMs: 30_000, env }).then(
    () => true,
    () => false,
  );
}

/** The docker command's major version. */
async function clientVersion(surroundings: SetUpSurroundings): Promise<number> {
  return parseInt(
    await runStep(surroundings, "docker", ["version", "--format", "{{.Client.Version}}"], { timeoutMs: 30_000 }),
  );
}

/** @returns the plugin's path */
async function fetchPlugin(folder: string, surroundings: SetUpSurroundings, debian: Debian): Promise<string> {
  const release = BEFORE.includes(debian.codename) ? RELEASE : debian.codename;
  const progress = (message: string) => surroundings.onProgress({ stage: "setting-up", message, progress: null });
  // From where this machine takes its packages, and beside what apt knows of them.
  const [sources, lists, cache] = [join(folder, "etc"), join(folder, "lists"), join(folder, "cache")];
  for (const part of [join(lists, "partial"), join(cache, "archives", "partial")]) mkdirSync(part, { recursive: true });
  for (const { path, name } of aptSources(surroundings)) {
    mkdirSync(dirname(join(sources, name)), { recursive: true });
    writeFileSync(join(sources, name), readFileSync(path, "utf8").replaceAll(debian.codename, release));
  }
  const options = {
    "Dir::Etc::sourcelist": join(sources, "sources.list"),
    "Dir::Etc::sourceparts": join(sources, "sources.list.d"),
    "Dir::State::lists": lists,
    "Dir::Cache": cache,
  };
  const apt = Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  progress(`Reading the package lists of ${release} (apt-get update)`);
  await runStep(surroundings, "apt-get", [...apt, "update"], { timeoutMs: 300_000 });
  progress(`Fetching ${PACKAGE} (apt-get download)`);
  await runStep(surroundings, "apt-get", [...apt, "download", PACKAGE], { timeoutMs: 300_000, cwd: folder });
  const file = readdirSync(folder).find((name) => name.endsWith(".deb"));
  if (!file) throw new TorbizError("setup-failed", `apt-get fetched no ${PACKAGE}.`);
  await runStep(surroundings, "dpkg-deb", ["--extract", join(folder, file), join(folder, "root")], {
    timeoutMs: 60_000,
  });
  return join(folder, "root", "usr", "libexec", "docker", "cli-plugins", PACKAGE);
}
