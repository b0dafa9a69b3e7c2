import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { execa } from "execa";
import { findDockerCli } from "../docker/cli";
import type { Endpoint } from "../docker/endpoint";
import { toTorbizError, TorbizError } from "../errors";
import { LABELS } from "../names";
import { aptSources, findDebian, installPackages, type Debian } from "./debian";
import { lastLines, runStep, setUpLog, stepEnv, stepError } from "./run-step";
import { findCommand, type SetUpSurroundings } from "./surroundings";

/** The image made from Debian's own packages where no image registry answers. Its Python is 3.11, as the usual one's. */
export const BASE_IMAGE_STAND_IN = "torbiz-base:bookworm";

const STAND_IN_RELEASE = "bookworm";

/** Registries answer within a second or two; one that says nothing for this long is behind a wall. */
const REGISTRY_LIMIT_MS = 20_000;

export interface BaseImageSurroundings extends SetUpSurroundings {
  endpoint: Endpoint;
  /** The folder that holds docker/Dockerfile.macos. */
  runtimeFiles: string;
}

/**
 * Sees to it that the image has something to stand on: the base image that TORBIZ_BASE_IMAGE or else the Dockerfile
 * names, present or pulled; where no registry answers, a stand-in made from Debian's packages (as root on Debian only).
 * Safe to repeat: what is there is used.
 *
 * @returns the image to give the build as BASE_IMAGE
 * @throws TorbizError base-image-unavailable, setup-failed, docker-cli-missing
 */
export async function ensureBaseImage(surroundings: BaseImageSurroundings): Promise<string> {
  const docker = await dockerCommand(surroundings);
  const chosen = surroundings.env.TORBIZ_BASE_IMAGE;
  const wanted = chosen || (await readDefaultBaseImage(surroundings.runtimeFiles));
  for (const image of chosen ? [wanted] : [wanted, BASE_IMAGE_STAND_IN]) {
    if (await docker.has(image)) return image;
  }

  const { onProgress } = surroundings;
  onProgress({ stage: "setting-up", message: `Pulling the base image ${wanted}`, progress: null });
  try {
    await docker.run(["pull", wanted], { timeoutMs: 1_800_000, firstOutputMs: REGISTRY_LIMIT_MS });
    return wanted;
  } catch (error) {
    const cause = toTorbizError(error);
    if (cause.code !== "setup-failed") throw cause;
    const debian = await findDebian(surroundings);
    if (chosen || !debian) {
      throw new TorbizError("base-image-unavailable", `${wanted} can't be had: ${cause.message}`, { cause });
    }
    onProgress({
      stage: "setting-up",
      message: `No image registry answers: making ${BASE_IMAGE_STAND_IN} from Debian's packages`,
      progress: null,
    });
    if (!(await findCommand(surroundings, "mmdebstrap"))) {
      await installPackages(surroundings, ["mmdebstrap", "debian-archive-keyring"]);
    }
    await makeStandIn(surroundings, docker, bootstrapArgs(surroundings, debian, { file: "-" }));
    return BASE_IMAGE_STAND_IN;
  }
}

/** What the Dockerfile starts from unless a build says otherwise. */
export async function readDefaultBaseImage(runtimeFiles: string): Promise<string> {
  const file = join(runtimeFiles, "docker", "Dockerfile.macos");
  const image = /^ARG BASE_IMAGE=(\S+)$/m.exec(await readFile(file, "utf8"))?.[1];
  if (!image) throw new TorbizError("unexpected", `${file} names no base image.`, { hint: "Install Torbiz again." });
  return image;
}

/** The docker command's options for this engine and no other. */
export function engineArgs({ context, url }: Endpoint): string[] {
  return context ? ["--context", context] : ["--host", url];
}

interface DockerCommand {
  path: string;
  /** The arguments with the engine that is meant. */
  args(args: readonly string[]): string[];
  run(args: readonly string[], limits: { timeoutMs: number; firstOutputMs?: number }): Promise<string>;
  has(image: string): Promise<boolean>;
}

async function dockerCommand(surroundings: BaseImageSurroundings): Promise<DockerCommand> {
  const path = await findDockerCli(surroundings);
  const args = (rest: readonly string[]) => [...engineArgs(surroundings.endpoint), ...rest];
  const run: DockerCommand["run"] = (rest, limits) => runStep(surroundings, path, args(rest), limits);
  return {
    path,
    args,
    run,
    has: async (image) => {
      const found = await run(["images", "--quiet", image], { timeoutMs: 30_000 });
      return found.trim() !== "";
    },
  };
}

/**
 * The arguments with which mmdebstrap makes the stand-in's files.
 * @param target where to: a tar file, "-" for stdout; and for which processor, as Debian calls it, if not for this one
 */
export function bootstrapArgs(
  surroundings: SetUpSurroundings,
  debian: Debian,
  { file, architecture }: { file: string; architecture?: string },
): string[] {
  const options = [
    "--variant=minbase",
    ...(architecture === undefined ? [] : [`--architectures=${architecture}`]),
    "--include=python3,python3-venv,python3-pip,ca-certificates",
  ];
  const sources = debian.codename === STAND_IN_RELEASE ? aptSources(surroundings).map(({ path }) => path) : [];
  return [...options, STAND_IN_RELEASE, file, ...sources];
}

/**
 * Debian's smallest system with Python, straight from mmdebstrap into the engine. It takes its name only when all of it
 * has arrived: a broken-off tar is an image as well.
 */
async function makeStandIn(
  surroundings: BaseImageSurroundings,
  docker: DockerCommand,
  bootstrap: readonly string[],
): Promise<void> {
  const logFile = setUpLog(surroundings);
  const options = {
    env: stepEnv(surroundings),
    extendEnv: false,
    reject: false,
    timeout: 900_000,
    cancelSignal: surroundings.signal,
    stderr: ["pipe", { file: logFile, append: true }],
  } as const;
  const making = execa("mmdebstrap", bootstrap, { ...options, stdin: "ignore", buffer: { stdout: false } });
  const importing = execa(docker.path, docker.args(["import", "--change", `LABEL ${LABELS.managed}=1`, "-"]), options);
  const [made, imported] = await Promise.all([
    making,
    importing,
    // A side that ends early breaks the pipe: its own exit code says more than that.
    pipeline(making.stdout, importing.stdin).catch(() => undefined),
  ]);
  if (!made.failed && !imported.failed) {
    await docker.run(["tag", imported.stdout.trim(), BASE_IMAGE_STAND_IN], { timeoutMs: 30_000 });
    surroundings.onChanged?.(`Made the base image ${BASE_IMAGE_STAND_IN} from Debian's packages`);
    return;
  }
  if (!imported.failed) await docker.run(["rmi", imported.stdout.trim()], { timeoutMs: 60_000 });
  const failed = made.failed ? made : imported;
  if (failed.isCanceled) throw new TorbizError("interrupted", "Making the base image was stopped.");
  throw stepError(failed.command, failed.exitCode, lastLines(failed.stderr), logFile);
}
