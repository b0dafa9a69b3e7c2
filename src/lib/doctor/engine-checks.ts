import type { Surroundings } from "../context";
import { findDockerCli } from "../docker/cli";
import { engineClockSkew } from "../docker/clock";
import { describeEndpoint } from "../docker/endpoint";
import { startEngine } from "../docker/start";
import { awaitDocker, ON_ITS_WAY } from "../docker/wait";
import { TorbizError, toTorbizError, type ProgramStart } from "../errors";
import { knownModels } from "../hub/known-models";
import { defaultModel, findModel } from "../models";
import { fitOf } from "../sharing/fit";
import { lastChoice } from "../sharing/last-choice";
import { resourceLimits } from "../sharing/limits";
import { problem, withEngine, type Check, type Repair, type RepairOptions } from "./finding";

/** The DHT refuses whose clock is further off. */
const LARGEST_SKEW_SECONDS = 3;

/** Of the engine itself: is it there, and is it fit for a share. */
export const engineChecks: readonly Check[] = [
  {
    id: "engine",
    title: "Docker",
    look: ({ surroundings, docker }) => {
      if (docker.state === "ready") {
        const { version, operatingSystem, rootless } = docker.engine;
        return {
          state: "ok",
          detail: `Docker ${version} answers (${operatingSystem}${rootless ? ", rootless" : ""}).`,
        };
      }
      const { action } = docker.error;
      return problem(docker.error, action?.start && startRepair(surroundings, action.title, action.start));
    },
  },
  {
    id: "version",
    title: "Docker version",
    look: ({ docker }) => {
      if (docker.state === "ready")
        return { state: "ok", detail: `It speaks API ${docker.engine.apiVersion}; 1.41 is needed.` };
      return docker.state === "too-old"
        ? problem(docker.error)
        : { state: "unknown", detail: "It takes Docker to tell." };
    },
  },
  {
    id: "context",
    title: "Docker context",
    look: ({ docker }) => {
      if (docker.state === "context-missing" || docker.state === "host-unsupported") return problem(docker.error);
      const where = docker.endpoint ? describeEndpoint(docker.endpoint) : undefined;
      return where
        ? { state: "ok", detail: `It is asked at ${where}.` }
        : { state: "unknown", detail: "No engine is chosen." };
    },
  },
  {
    id: "docker-cli",
    title: "docker command",
    look: async ({ surroundings }) => {
      try {
        return { state: "ok", detail: `It is ${await findDockerCli(surroundings)}.` };
      } catch (error) {
        return problem(toTorbizError(error));
      }
    },
  },
  {
    id: "platform",
    title: "Platform",
    look: withEngine(({ facts: { architecture, cpus }, endpoint }) => {
      const own = process.arch;
      const theirs = ARCHITECTURES[architecture] ?? architecture;
      const what = `Docker has ${cpus} ${cpus === 1 ? "processor" : "processors"} (${theirs}), this computer is ${process.platform} (${own})`;
      // Only an engine on this computer is emulated where the two differ.
      if (!endpoint.socketPath || own === theirs) return { state: "ok", detail: `${what}.` };
      return {
        state: "warning",
        detail: `${what}: every instruction is translated, which is many times slower.`,
        hint: "Let Docker's virtual machine run this computer's own architecture.",
      };
    }),
  },
  {
    id: "memory",
    title: "Memory",
    look: withEngine(({ facts, paths, names }) => {
      const known = knownModels(paths);
      const shared = lastChoice({ paths, names })?.model;
      const model = known.find(({ id }) => id === shared) ?? findModel(defaultModel.id, known);
      const { blocks, reason } = fitOf(model, resourceLimits(facts), facts);
      const detail = `${model.title}: ${reason}`;
      if (blocks > 0) return { state: "ok", detail };
      return problem(
        new TorbizError("not-enough-memory", detail, {
          hint: "Give Docker more memory in its settings, or choose a smaller model.",
        }),
      );
    }),
  },
  {
    id: "clock",
    title: "Clock",
    look: withEngine(async ({ endpoint }) => {
      const { seconds, uncertainty } = await engineClockSkew(endpoint);
      const apart = Math.max(0, Math.abs(seconds) - uncertainty);
      if (apart <= LARGEST_SKEW_SECONDS) {
        if (uncertainty <= LARGEST_SKEW_SECONDS)
          return { state: "ok", detail: `Docker's and this computer's are ${apart.toFixed(1)} s apart.` };
        const seconds = (2 * uncertainty).toFixed(0);
        return {
          state: "unknown",
          detail: `Docker took ${seconds} s to tell its time: too long to compare clocks by.`,
        };
      }
      const which = seconds < 0 ? "behind" : "ahead of";
      return problem(
        new TorbizError(
          "clock-skew",
          `Docker's clock is ${apart.toFixed(0)} s ${which} this computer's; swarms refuse more than ${LARGEST_SKEW_SECONDS} s.`,
        ),
      );
    }),
  },
];

/** As Node names what engines and `uname` do. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x86_64: "x64", amd64: "x64", aarch64: "arm64" };

function startRepair(surroundings: Surroundings, title: string, start: ProgramStart): Repair {
  return { title, run: (options) => startAndWait(surroundings, start, options) };
}

async function startAndWait(surroundings: Surroundings, start: ProgramStart, options: RepairOptions): Promise<void> {
  options.onProgress?.({ stage: "starting-docker", message: "Starting Docker", progress: null });
  await startEngine(start, surroundings);
  const docker = await awaitDocker(surroundings, ON_ITS_WAY, options);
  if (docker.state !== "ready") throw docker.error;
}
