import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isRecord, lastRecord, parseJson } from "../json";
import type { EngineContext } from "../context";
import { removeAbandoned, runOneOff } from "../docker/one-off";
import { TorbizError } from "../errors";
import type { Model } from "../models";
import { LABELS } from "../names";
import type { Paths } from "../paths";
import type { OnProgress } from "../progress";
import type { Fit } from "./fit";
import type { Limits } from "./limits";

/** How fast this computer makes tokens with a model, as it was measured. */
export interface Speed {
  /** Of one block. N blocks one after another make the N-th part of it. */
  blockTokensPerSecond: number;
  /** When it was measured, ISO-8601 UTC. */
  measuredAt: string;
}

export interface MeasureOptions {
  onProgress?: OnProgress;
  signal?: AbortSignal;
}

/** What a speed means for a share. */
export interface SpeedOutlook {
  /** Through the blocks that fit, without the network's part. */
  tokensPerSecond: number;
  /** Computers like this one that serve the whole model together. */
  computers: number;
  /** Tokens a second of the whole model on those computers: each token passes all blocks, whoever has them. */
  wholeTokensPerSecond: number;
  /** Whether a swarm would be slower by this computer than people bear. */
  slow: boolean;
  /** All of it, in sentences. */
  words: string;
}

const JOB = "speed";
const STAGE = "measuring";
/** Of measuring itself; before it torch is loaded and a block is made, which takes its time with large ones. */
const SECONDS = 10;
const LIMIT_MS = 180_000;
const TMP_BYTES = 64 * 1024 ** 2;
/**
 * Slower than that a swarm is of no use: an answer of a hundred tokens takes longer than a minute and a half, where people
 * read several words a second. (Petals' own paper reports up to 6 tokens/s for its 70B models on GPUs.)
 */
export const USEFUL_TOKENS_PER_SECOND = 1;

/**
 * Measures how fast this computer serves a model: Petals' own test, on a block of the model's shape with random weights, in
 * a locked-down container with the processors that sharing may use. Nothing is downloaded. The result is kept for this
 * model, image and limit of processors.
 *
 * @throws TorbizError image-missing, already-sharing, not-enough-memory, speed-test-failed, interrupted, or the engine's own
 */
export async function measureSpeed(
  context: EngineContext,
  model: Model,
  limits: Limits,
  { onProgress, signal }: MeasureOptions = {},
): Promise<Speed> {
  const { engine, names, paths } = context;
  const key = await speedKey(context, model, limits);
  if (key === undefined) throw new TorbizError("image-missing", `The image ${names.image} is not there.`);
  if ((await engine.inspect(names.container))?.State.Running) {
    throw new TorbizError("already-sharing", "The speed can't be measured while something is shared.", {
      hint: "Stop it first. While it serves, its throughput is in its status.",
      cliHint: "Stop it with `torbiz stop`.",
    });
  }
  await removeAbandoned({ engine, names, job: JOB });
  onProgress?.({ stage: STAGE, message: `Measuring this computer's speed with ${model.title}`, progress: null });
  const { exitCode, lines } = await runOneOff({
    engine,
    names,
    job: JOB,
    command: [
      ...["python", "-m", "torbiz.speed_test", "--seconds", String(SECONDS)],
      ...["--config", JSON.stringify(model.config)],
    ],
    memoryBytes: limits.memoryBytes,
    processors: limits,
    tmpBytes: TMP_BYTES,
    limit: {
      ms: LIMIT_MS,
      error: () =>
        new TorbizError("speed-test-failed", `The speed wasn't measured within ${LIMIT_MS / 60_000} minutes.`),
    },
    signal,
  });
  const measured = lastRecord(lines)?.tokensPerSecond;
  if (exitCode === 137) {
    throw new TorbizError("not-enough-memory", `One block of ${model.title} is more than the memory it may use.`);
  }
  if (exitCode !== 0 || typeof measured !== "number") {
    throw new TorbizError("speed-test-failed", `The measuring ended with exit code ${exitCode}.`, {
      details: { lines },
    });
  }
  const speed = { blockTokensPerSecond: measured, measuredAt: new Date().toISOString() };
  remember(paths, key, speed);
  return speed;
}

/** The speed that was measured with this model, image and limit of processors; undefined where none was. */
export async function knownSpeed(context: EngineContext, model: Model, limits: Limits): Promise<Speed | undefined> {
  const key = await speedKey(context, model, limits);
  return key === undefined ? undefined : toSpeed(read(context.paths)[key]);
}

/**
 * What a speed means for the blocks that a share serves, and for the swarm.
 *
 * @example
 * outlookOf(model, fit, speed).words; // "Measured: about 12 tokens/s through the 11 blocks that fit. ..."
 */
export function outlookOf(model: Model, { blocks }: Pick<Fit, "blocks">, speed: Speed): SpeedOutlook {
  const { blockTokensPerSecond: block } = speed;
  const served = Math.max(1, blocks);
  const computers = Math.ceil(model.blocks / served);
  const whole = block / model.blocks;
  const slow = whole < USEFUL_TOKENS_PER_SECOND;
  const through = served === model.blocks ? "all blocks" : served === 1 ? "one block" : `the ${served} blocks that fit`;
  const words = [
    `Measured: about ${rate(block / served)} tokens/s through ${through}.`,
    ...(computers > 1
      ? [`The whole model needs ${computers} computers like this, and makes about ${rate(whole)} tokens/s with them.`]
      : []),
    ...(slow ? ["This computer would slow a swarm of this model: a smaller model suits it better."] : []),
  ].join(" ");
  return { tokensPerSecond: block / served, computers, wholeTokensPerSecond: whole, slow, words };
}

/** Tokens a second, as exact as a short measurement is. */
export function rate(tokensPerSecond: number): string {
  // toPrecision(1) makes "1e+1" of what it rounds up to 10.
  return tokensPerSecond >= 9.5 ? String(Math.round(tokensPerSecond)) : tokensPerSecond.toPrecision(1);
}

/** By what a speed is kept; undefined without an image. */
async function speedKey(
  { engine, names }: EngineContext,
  { id, source }: Model,
  { nanoCpus }: Limits,
): Promise<string | undefined> {
  const image = await engine.image(names.image);
  if (!image) return undefined;
  const revision = source.kind === "hub" ? source.revision : "";
  return [id, revision, image.labels[LABELS.inputs] ?? image.id, nanoCpus].join(" ");
}

function file(paths: Pick<Paths, "home">): string {
  return join(paths.home, "speed.json");
}

function remember(paths: Pick<Paths, "home">, key: string, speed: Speed): void {
  const draft = `${file(paths)}.${crypto.randomUUID()}`;
  writeFileSync(draft, `${JSON.stringify({ ...read(paths), [key]: speed }, undefined, 2)}\n`, { mode: 0o600 });
  renameSync(draft, file(paths));
}

/** What can't be read is measured again. */
function read(paths: Pick<Paths, "home">): Record<string, unknown> {
  try {
    const content = parseJson(readFileSync(file(paths), "utf8"));
    return isRecord(content) ? content : {};
  } catch {
    return {};
  }
}

function toSpeed(value: unknown): Speed | undefined {
  const { blockTokensPerSecond, measuredAt } = isRecord(value) ? value : {};
  if (typeof blockTokensPerSecond !== "number" || typeof measuredAt !== "string") return undefined;
  return { blockTokensPerSecond, measuredAt };
}
