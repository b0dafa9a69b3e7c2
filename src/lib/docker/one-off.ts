import { randomBytes } from "node:crypto";
import { LABELS, type Names } from "../names";
import type { TorbizError } from "../errors";
import { VERSION } from "../version";
import { interrupted } from "./docker-error";
import type { ContainerOptions, Engine, RunOptions, RunResult } from "./engine";

/** A job that is done in a container of our image, which is gone when it is over. */
export interface OneOff {
  engine: Engine;
  names: Names;
  /** Kebab-case; a part of the container's name. */
  job: string;
  /** With its arguments. No secrets: `docker inspect` shows them. */
  command: readonly string[];
  /** "uid:gid"; the image's own user when absent. */
  user?: string;
  /** The engine's network to be in; none when absent. */
  network?: string;
  memoryBytes: number;
  /** In the Engine API's units, and for libraries that would count the machine's; all that the engine has when absent. */
  processors?: { nanoCpus: number; threads: number };
  /** Of /tmp, the one place that it can write besides its mounts. */
  tmpBytes: number;
  mounts?: NonNullable<ContainerOptions["HostConfig"]>["Mounts"];
  /** How long it may take, and what to say where that is too short. */
  limit: { ms: number; error: () => TorbizError };
  onLine?: RunOptions["onLine"];
  /** Ends it. */
  signal?: AbortSignal;
}

/** Time to clear up after SIGTERM before the container is killed. */
const GRACE_MS = 10_000;
/** A container that ended so long ago has nobody left who reads its exit code. */
const ABANDONED_MS = 10_000;

/**
 * Runs a job to its end in a container of our image, as locked down as the one that shares: no capabilities, a read-only
 * root, limits on memory and processes. It is removed whatever happens.
 *
 * @throws TorbizError the limit's own, interrupted, or the engine's; a non-zero exit code is a result, not an error
 *
 * @example
 * const { exitCode } = await runOneOff({ engine, names, job: "starter", command: ["python", "-m", "torbiz.starter"], ... });
 */
export async function runOneOff(oneOff: OneOff): Promise<RunResult> {
  const { engine, names, job, limit, onLine, signal } = oneOff;
  if (signal?.aborted) throw interrupted(signal);
  const name = `${prefixOf(job)}${randomBytes(4).toString("hex")}`;
  const late = new AbortController();
  const limitTimer = setTimeout(() => late.abort(limit.error()), limit.ms);
  const ending = signal ? AbortSignal.any([signal, late.signal]) : late.signal;
  const kill = new AbortController();
  let killTimer: NodeJS.Timeout | undefined;
  const onEnding = () => {
    killTimer = setTimeout(() => kill.abort(ending.reason), GRACE_MS);
    engine.kill(name, "SIGTERM").catch(() => undefined);
  };
  ending.addEventListener("abort", onEnding, { once: true });
  try {
    const options = containerOptions(oneOff);
    const result = await engine.run({ image: names.image, name, options, signal: kill.signal, onLine });
    if (ending.aborted) throw interrupted(ending);
    return result;
  } catch (error) {
    throw ending.aborted ? interrupted(ending) : error;
  } finally {
    clearTimeout(limitTimer);
    clearTimeout(killTimer);
    ending.removeEventListener("abort", onEnding);
  }
}

function prefixOf(job: string): string {
  return `torbiz-${job}-`;
}

function containerOptions(oneOff: OneOff): ContainerOptions {
  const { names, command, user, network = "none", memoryBytes, processors, tmpBytes, mounts = [] } = oneOff;
  return {
    Entrypoint: [...command],
    Cmd: [],
    ...(user !== undefined && { User: user }),
    ...(processors && { Env: threadSettings(processors.threads) }),
    Labels: {
      [LABELS.managed]: "1",
      [LABELS.version]: VERSION,
      [LABELS.instance]: names.instance,
    },
    Tty: false,
    HostConfig: {
      Init: true,
      NetworkMode: network,
      ReadonlyRootfs: true,
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges:true"],
      Memory: memoryBytes,
      MemorySwap: memoryBytes,
      ...(processors && { NanoCpus: processors.nanoCpus }),
      PidsLimit: 512,
      Tmpfs: { "/tmp": `mode=1777,size=${tmpBytes}` },
      LogConfig: { Type: "json-file", Config: { "max-size": "1m", "max-file": "1" } },
      RestartPolicy: { Name: "no" },
      Mounts: mounts,
    },
  };
}

/** Libraries take the number of processors of the machine for theirs, and would start that many threads. */
export function threadSettings(threads: number): string[] {
  return ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"].map((name) => `${name}=${threads}`);
}

/**
 * Removes the containers of a job whose own process was killed before it could.
 * @returns how many
 */
export async function removeAbandoned({ engine, names, job }: Pick<OneOff, "engine" | "names" | "job">) {
  const abandoned = await findAbandoned({ engine, names });
  const ofJob = abandoned.filter(({ name }) => name.startsWith(prefixOf(job)));
  for (const { id } of ofJob) await engine.remove(id, { force: true });
  return ofJob.length;
}

/** The containers of all jobs that ended and that nobody has removed for a while. */
export async function findAbandoned({
  engine,
  names,
}: Pick<OneOff, "engine" | "names">): Promise<{ id: string; name: string }[]> {
  const abandoned = [];
  for (const { Id, Names, Labels, State } of await engine.list(LABELS.managed)) {
    const name = Names[0]?.slice(1) ?? "";
    if (name === names.container || Labels[LABELS.instance] !== names.instance || State === "running") continue;
    const info = await engine.inspect(Id);
    // What was never started has finished in the year 1.
    const quietSince = info && Math.max(Date.parse(info.Created), Date.parse(info.State.FinishedAt));
    if (quietSince && Date.now() - quietSince >= ABANDONED_MS) abandoned.push({ id: Id, name });
  }
  return abandoned;
}
