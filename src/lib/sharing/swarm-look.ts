import type { EngineContext } from "../context";
import { removeAbandoned, runOneOff } from "../docker/one-off";
import { errorCodes, TorbizError } from "../errors";
import { lastRecord } from "../json";
import type { Model } from "../models";
import { LABELS } from "../names";
import type { BlockRange } from "./blocks";

/** A server as it announces itself to a swarm. What it says of itself is a stranger's word. */
export interface SwarmServer extends BlockRange {
  peerId: string;
  name: string | null;
  /** Those that are joining will serve in a while; those that are unreachable told that they are online, and don't answer. */
  state: "joining" | "online" | "unreachable";
  /** Tokens a second. */
  throughput: number;
  /** Of its Petals. */
  version: string | null;
  /** Peers reach it through a relay. */
  relayed: boolean | null;
}

/** What a swarm tells a newcomer: the JSON object of python/torbiz/swarm_look.py, where each field is described. */
export interface SwarmLook {
  dhtPrefix: string;
  /** Of the whole model. */
  blocks: number;
  /** By their first block. */
  servers: SwarmServer[];
  /** Of each block, how many ONLINE servers it has. */
  online: number[];
  missing: BlockRange[];
  /** What a further server should serve. */
  suggestion: BlockRange;
  /** How each address that was given answered. */
  initialPeers: { address: string; answered: boolean; clockSkewSeconds: number | null }[];
  /** This computer's clock less a peer's, in seconds; the largest. */
  clockSkewSeconds: number | null;
  seconds: { join: number; read: number };
}

export interface LookOptions {
  model: Pick<Model, "dhtPrefix" | "blocks">;
  /** Multiaddrs, as a container of ours reaches them; empty for Petals' public network. */
  initialPeers: readonly string[];
  /** The most blocks that this computer could serve; any number when absent. */
  fitting?: number;
  /** Ends it; its container is removed. */
  signal?: AbortSignal;
}

const JOB = "swarm-look";
/** Importing Petals takes most of it. */
const MEMORY_BYTES = 1024 ** 3;
const TMP_BYTES = 16 * 1024 ** 2;
/** For the network, in seconds; a busy computer may need long to import Petals before. */
const NETWORK_SECONDS = 20;
const LIMIT_MS = 3 * 60_000;

/**
 * Looks who serves which blocks of a model, as a client that a swarm doesn't notice, in a one-off container of our image:
 * so it needs no Python here, and takes no memory from a share that runs.
 *
 * @throws TorbizError swarm-unreachable, swarm-invalid, clock-skew (`details.clockSkewSeconds`), image-missing, interrupted
 *
 * @example
 * const { missing, suggestion } = await lookAtSwarm(context, { model, initialPeers: ["/ip4/192.168.1.20/tcp/31330/p2p/12D3..."] });
 */
export async function lookAtSwarm(
  { engine, names }: Pick<EngineContext, "engine" | "names">,
  { model, initialPeers, fitting, signal }: LookOptions,
): Promise<SwarmLook> {
  await removeAbandoned({ engine, names, job: JOB });
  await engine.ensureNetwork(names.network, { [LABELS.managed]: "1", [LABELS.instance]: names.instance });
  const { exitCode, lines } = await runOneOff({
    engine,
    names,
    job: JOB,
    command: [
      ...["python", "-m", "torbiz.swarm_look", "--dht-prefix", model.dhtPrefix, "--blocks", String(model.blocks)],
      ...initialPeers.flatMap((peer) => ["--initial-peer", peer]),
      ...(fitting === undefined ? [] : ["--fitting", String(fitting)]),
      ...["--timeout", String(NETWORK_SECONDS)],
    ],
    network: names.network,
    memoryBytes: MEMORY_BYTES,
    tmpBytes: TMP_BYTES,
    limit: {
      ms: LIMIT_MS,
      error: () => new TorbizError("swarm-unreachable", `Looking at the swarm took over ${LIMIT_MS / 60_000} minutes.`),
    },
    signal,
  });
  const found = lastRecord(lines);
  if (exitCode === 0 && found) return found as unknown as SwarmLook;
  throw failureOf(found) ?? new TorbizError("unexpected", "The look at the swarm broke off.", { details: { lines } });
}

function failureOf(found: Record<string, unknown> | undefined): TorbizError | undefined {
  const { error } = (found ?? {}) as { error?: { code?: string; message?: string; clockSkewSeconds?: number } };
  const code = errorCodes.find((known) => known === error?.code);
  if (!code || !error?.message) return undefined;
  const { message, clockSkewSeconds } = error;
  return new TorbizError(code, message, clockSkewSeconds === undefined ? {} : { details: { clockSkewSeconds } });
}
