import type { EngineContext } from "../context";
import { buildRoomText } from "../docker/build/build-room";
import { ensureImage } from "../docker/build/image";
import { lastBuild } from "../docker/build/last-build";
import { currentBuild } from "../docker/build/lock";
import { imageState } from "../docker/build/state";
import { findDockerCli } from "../docker/cli";
import { findAbandoned, runOneOff } from "../docker/one-off";
import { TorbizError, toTorbizError } from "../errors";
import { lastRecord } from "../json";
import { LABELS } from "../names";
import { nobodyAnswers, tryPeers } from "../sharing/first-peers";
import { lastKeptLog } from "../sharing/kept-logs";
import { lastChoice } from "../sharing/last-choice";
import { requireFreePort } from "../sharing/port";
import { readStatus } from "../sharing/status";
import { foreignContainer, stopContainer, toldLast } from "../sharing/stop";
import { parseSwarmText } from "../sharing/swarm";
import { readSwarmMap } from "../sharing/swarm-map";
import { whyFailed } from "../sharing/why-ended";
import { sizeText } from "../units";
import { problem, withEngine, type Check, type Repair, type Verdict } from "./finding";
import { roomVerdict } from "./room";

/** Importing Petals takes a busy computer that long. */
const IMPORT_LIMIT_MS = 120_000;
/** It must leave a share its own. */
const IMPORT_MEMORY_BYTES = 1024 ** 3;
const TMP_BYTES = 16 * 1024 ** 2;
/** A script reads all that the image is made from. */
const HASH_LIMIT_MS = 60_000;
/** A look at the public network, with the start of its container. */
const SWARM_LIMIT_MS = 90_000;
/** The engine adds up all that it has. */
const USAGE_LIMIT_MS = 40_000;

/** Everything that a server imports, and its versions as JSON: what fails here fails a share. */
const IMPORTS = `
import json, sys
import torbiz.petals_compat, petals.server.server
import accelerate, hivemind, peft, petals, torch
import torbiz.seeder
print(json.dumps({m.__name__: m.__version__ for m in (petals, torch, peft, accelerate, hivemind)}))`;
const FREE_BYTES = `import shutil; print(shutil.disk_usage("/cache").free)`;

/** Of what sharing needs and leaves in the engine. */
export const shareChecks: readonly Check[] = [
  { id: "docker-disk", title: "Docker's disk", look: withEngine(dockerDisk) },
  { id: "image", title: "Image", limitMs: HASH_LIMIT_MS, look: withEngine(image) },
  { id: "dependencies", title: "What the image holds", limitMs: IMPORT_LIMIT_MS, look: withEngine(dependencies) },
  { id: "volume", title: "Cache", limitMs: USAGE_LIMIT_MS, look: withEngine(volume) },
  { id: "share", title: "Share", look: withEngine(share) },
  { id: "last-share", title: "Last share", look: ({ surroundings }) => lastShare(surroundings) },
  { id: "port", title: "Port", look: withEngine(port) },
  { id: "swarm", title: "Way into the swarm", limitMs: SWARM_LIMIT_MS, look: withEngine(swarm) },
  { id: "leftovers", title: "Left-overs", look: withEngine(leftovers) },
];

async function dockerDisk(context: EngineContext, signal: AbortSignal): Promise<Verdict> {
  if (!(await context.engine.image(context.names.image)))
    return untilBuilt(
      `How much is free is read in the image, which isn't built yet. Building it takes ${buildRoomText(context.facts)}.`,
    );
  const { lines } = await inImage(context, FREE_BYTES, signal);
  const free = Number(lines.findLast((line) => /^\d+$/.test(line)) ?? NaN);
  if (!(free >= 0)) throw new TorbizError("unexpected", "The image doesn't tell how much is free.");
  const hint = "See what takes it with `docker system df`, or make Docker's disk larger in its settings.";
  return roomVerdict(free, "on Docker's disk", { hint }, context.facts);
}

async function image(context: EngineContext): Promise<Verdict> {
  const { engine, names, paths } = context;
  const building = currentBuild(paths, names);
  if (building) return { state: "warning", detail: `${names.image} is being built now.`, pending: true };
  const [state, facts] = await Promise.all([imageState(context), engine.image(names.image)]);
  const size = facts ? ` (${sizeText(facts.sizeBytes)})` : "";
  switch (state) {
    case "current":
      return { state: "ok", detail: `${names.image} is up to date${size}.` };
    case "by-hand":
      return { state: "ok", detail: `${names.image} was built by hand${size}: it is used as it is.` };
    case "outdated":
      return {
        state: "warning",
        detail: `${names.image} is of an older Torbiz${size}: it still serves.`,
        repair: buildRepair(context, "Update Image"),
      };
    case "unusable":
      return {
        state: "problem",
        detail: `${names.image} is of a Torbiz that this one can't work with.`,
        hint: "Build it again.",
        cliHint: "`torbiz build` does that.",
        repair: buildRepair(context, "Build Image"),
      };
    case "missing": {
      const ended = lastBuild(paths, names);
      if (ended?.outcome === "failed" && ended.error) return problem(ended.error, buildRepair(context, "Build Image"));
      return {
        state: "warning",
        detail: "It isn't built yet.",
        pending: true,
        hint: "The first share builds it.",
        repair: buildRepair(context, "Build Image"),
      };
    }
  }
}

/** @param force without the engine's cache, in which what is broken may be */
function buildRepair(context: EngineContext, title: string, force = false): Repair {
  const { engine, endpoint, names, paths, runtimeFiles, env } = context;
  const cliPath = () => findDockerCli(context);
  return {
    title,
    run: async (options) => {
      await ensureImage({ ...options, engine, endpoint, names, paths, runtimeFiles, env, cliPath, force });
    },
  };
}

async function dependencies(context: EngineContext, signal: AbortSignal): Promise<Verdict> {
  const state = await imageState(context);
  if (state === "missing") return untilBuilt("There is no image yet to look into.");
  if (state === "unusable")
    return untilBuilt("The image is looked into when it is one that this Torbiz can work with.");
  const { exitCode, lines } = await inImage(context, IMPORTS, signal);
  const versions = lastRecord(lines);
  if (exitCode === 0 && versions) {
    const words = Object.entries(versions).map(([name, version]) => `${name} ${String(version)}`);
    return { state: "ok", detail: `Everything that a share imports is there: ${words.join(", ")}.` };
  }
  return problem(
    new TorbizError(
      "image-check-failed",
      `A share couldn't import what it needs: ${lines.findLast(Boolean) ?? `exit code ${exitCode}`}`,
    ),
    buildRepair(context, "Rebuild Image", true),
  );
}

/** Runs a Python program in the image, without a network. */
function inImage({ engine, names }: EngineContext, program: string, signal: AbortSignal) {
  return runOneOff({
    ...{ engine, names, signal },
    job: "doctor",
    command: ["python", "-W", "ignore", "-c", program],
    memoryBytes: IMPORT_MEMORY_BYTES,
    tmpBytes: TMP_BYTES,
    limit: {
      ms: IMPORT_LIMIT_MS,
      error: () => new TorbizError("docker-not-answering", "The image gave no answer in time."),
    },
  });
}

async function volume({ engine, names }: EngineContext): Promise<Verdict> {
  const labels = await engine.volume(names.volume);
  if (!labels) {
    const detail = "It is made by the first share; what is downloaded then stays in it.";
    return { state: "ok", detail, pending: true };
  }
  const bytes = (await engine.diskUsage()).volumes.get(names.volume);
  const holds = bytes === undefined ? "" : ` and holds ${sizeText(bytes)}`;
  // Nothing in it is nothing that could have stayed.
  const pending = bytes ? undefined : true;
  if (labels[LABELS.managed] === "1") {
    return { state: "ok", detail: `The volume ${names.volume} is there${holds}: it outlives every share.`, pending };
  }
  return {
    ...{ state: "warning", pending },
    detail: `The volume ${names.volume} is there${holds}, but Torbiz didn't make it.`,
    hint: "It is used as it is, and never removed by Torbiz.",
  };
}

async function share(context: EngineContext): Promise<Verdict> {
  const { engine, names } = context;
  const container = await engine.inspect(names.container);
  const status = readStatus(container);
  const { state, message } = status;
  const model = status.model ?? "a model";
  switch (state) {
    case "foreign":
      return problem(foreignContainer(names.container, container?.Config.Image ?? "unknown"));
    case "absent":
      return { state: "ok", detail: "Nothing is shared now." };
    case "exited": {
      const why = await whyFailed(context, container, status);
      return {
        state: status.exitCode === 0 ? "ok" : "problem",
        detail: `Sharing ${model} has ended. ${why?.message ?? message ?? ""}`.trim(),
        ...(why && { hint: why.hint, cliHint: why.cliHint ?? "The log is shown by `torbiz logs`." }),
        repair: { title: "Clear", run: async () => void (await stopContainer(context, names.container)) },
      };
    }
    case "paused":
      return {
        state: "warning",
        detail: `Sharing ${model} is paused in Docker: peers wait in vain.`,
        repair: { title: "Resume", run: () => engine.unpause(names.container) },
      };
    case "unknown":
      return { state: "warning", detail: message ?? "What it does can't be told." };
    default:
      return {
        state: status.health === "stale" ? "warning" : "ok",
        detail: `${model} is shared: ${status.stage ?? state}. ${message ?? ""}`.trim(),
      };
  }
}

/** What the log that was kept last tells of how shares begin and end here. */
function lastShare(where: Parameters<typeof lastKeptLog>[0]): Verdict {
  const kept = lastKeptLog(where);
  if (!kept) return { state: "ok", detail: "None has ended here yet.", pending: true };
  const told = toldLast(kept.lines);
  if (told === "OFFLINE") return { state: "ok", detail: "It joined its swarm, and told its peers when it ended." };
  const detail =
    told === undefined
      ? "It ended before it had joined its swarm."
      : "It ended without a word to its peers: they noticed by themselves.";
  return { state: "warning", detail, hint: `Its log is ${kept.path}.`, pending: true };
}

async function port(context: EngineContext): Promise<Verdict> {
  const { engine, endpoint, names } = context;
  const shared = readStatus(await engine.inspect(names.container));
  const isShared = shared.port !== null && !["absent", "foreign", "exited"].includes(shared.state);
  if (isShared) return { state: "ok", detail: `${shared.port} is this share's own.` };
  if (!endpoint.socketPath)
    return { state: "unknown", detail: "Docker is on another computer, whose ports can't be tried from this one." };
  const chosen = lastChoice(context)?.port ?? names.port;
  try {
    await requireFreePort(context, chosen);
    return { state: "ok", detail: `${chosen} is free.` };
  } catch (error) {
    return problem(toTorbizError(error));
  }
}

/** Only the swarm that is shared in is asked: who shares in one of their own has no business with the public one. */
async function swarm(context: EngineContext, signal: AbortSignal): Promise<Verdict> {
  const { engine, names } = context;
  const running = readStatus(await engine.inspect(names.container)).swarm;
  const chosen = parseSwarmText(running ?? lastChoice(context)?.swarm ?? "private");
  if (chosen.kind === "private") {
    return { state: "ok", detail: "The swarm is this computer's own: there is nobody that it has to reach." };
  }
  if (chosen.kind === "join") {
    const tried = await tryPeers(chosen.peers);
    const answering = tried.filter(({ answered }) => answered).length;
    if (answering === 0) return problem(nobodyAnswers(chosen.peers));
    return {
      state: answering < tried.length ? "warning" : "ok",
      detail: `Of ${tried.length} peers to join by, ${answering} can be reached.`,
    };
  }
  try {
    const { initialPeers, clockSkewSeconds } = await readSwarmMap(context, { swarm: chosen, signal });
    const answering = initialPeers.filter(({ answered }) => answered).length;
    const clocks =
      clockSkewSeconds === null
        ? ""
        : ` Their clocks and this computer's are ${Math.abs(clockSkewSeconds).toFixed(1)} s apart.`;
    return {
      state: answering < initialPeers.length ? "warning" : "ok",
      detail: `Of ${initialPeers.length} peers of the public network to join by, ${answering} can be reached.${clocks}`,
    };
  } catch (error) {
    const known = toTorbizError(error);
    if (known.code === "image-missing") {
      return untilBuilt("The public network is looked at with the image, which isn't built yet.");
    }
    if (known.code === "clock-skew") return problem(known);
    if (known.code === "swarm-unreachable") return problem(new TorbizError("public-swarm-silent", known.message));
    throw known;
  }
}

async function leftovers({ engine, names }: EngineContext): Promise<Verdict> {
  const abandoned = await findAbandoned({ engine, names });
  if (abandoned.length === 0) return { state: "ok", detail: "Nothing was left by a command that was killed." };
  return {
    state: "warning",
    detail: `Left by commands that were killed: ${abandoned.map(({ name }) => name).join(", ")}.`,
    hint: "They do nothing, and can be removed.",
    repair: {
      title: "Remove Left-Overs",
      run: async () => {
        for (const { id } of await findAbandoned({ engine, names })) await engine.remove(id, { force: true });
      },
    },
  };
}

function untilBuilt(detail: string): Verdict {
  return { state: "unknown", detail, pending: true };
}
