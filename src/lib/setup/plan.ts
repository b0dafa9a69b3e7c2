import { Engine } from "../docker/engine";
import { checkDocker } from "../docker/preflight";
import type { Names } from "../names";
import { BASE_IMAGE_STAND_IN, readDefaultBaseImage } from "./base-image";
import { findDebian } from "./debian";
import { canSetUp, type ReadyDocker } from "./machine";
import { missingVenvPackages } from "./python-venv";
import { findCommand, type SetUpSurroundings } from "./surroundings";

export interface PlanSurroundings extends SetUpSurroundings {
  names: Names;
  /** The folder that holds docker/Dockerfile.macos. */
  runtimeFiles: string;
}

/**
 * What `setUpMachine`, `ensurePythonVenv` and `ensureBaseImage` would do to this machine, in words that go on from
 * "Torbiz will"; empty where nothing is missing. Docker is left out where it can't be set up. Only looks.
 */
export async function planSetUp(surroundings: PlanSurroundings): Promise<string[]> {
  const docker = await checkDocker(surroundings);
  const ready = docker.state === "ready" ? docker : undefined;
  const hasDocker = ready !== undefined || (await canSetUp(surroundings, docker));
  const plan: string[] = [];
  if (hasDocker && !ready) {
    const hasDaemon = await findCommand(surroundings, "dockerd");
    if (!hasDaemon) plan.push("install Docker Engine (docker.io)");
    else if (!(await findCommand(surroundings, "docker"))) plan.push("install the docker command (docker-cli)");
    plan.push("start Docker Engine");
  }
  plan.push(...(await missingVenvPackages(surroundings)).map((name) => `install ${name}`));
  if (hasDocker && (await mayNeedStandIn(surroundings, ready))) {
    plan.push("make a base image from Debian's packages with mmdebstrap (only if no image registry answers)");
  }
  return plan;
}

/** An engine that doesn't run yet has perhaps all images, or none: nobody can tell. */
async function mayNeedStandIn(surroundings: PlanSurroundings, docker: ReadyDocker | undefined): Promise<boolean> {
  const { env, names, runtimeFiles } = surroundings;
  if (env.TORBIZ_BASE_IMAGE || !(await findDebian(surroundings))) return false;
  if (!docker) return true;
  const engine = new Engine(docker.endpoint, docker.engine.apiVersion);
  for (const image of [names.image, await readDefaultBaseImage(runtimeFiles), BASE_IMAGE_STAND_IN]) {
    if (await engine.image(image)) return false;
  }
  return true;
}
