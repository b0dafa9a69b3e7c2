import type { ContainerCreateOptions } from "dockerode";
import { threadSettings } from "../docker/one-off";
import { commitOf } from "../hub/known-models";
import type { Model } from "../models";
import { LABELS, type Names } from "../names";
import { VERSION } from "../version";
import { formatBlocks, type BlockChoice } from "./blocks";
import { HOST_NAME, type HubAccess } from "./hub-access";
import { multiaddr } from "./lan";
import type { Limits } from "./limits";
import { swarmText, type Swarm } from "./swarm";

/** The user in the image: a number, as the host's user names mean nothing there. */
const CONTAINER_USER = "10001:10001";
const STATUS_FILE = "/tmp/torbiz/status.json";
const GIB = 1024 ** 3;
const SECOND = 1_000_000_000; // the Engine API counts in nanoseconds

/** Time that a graceful stop may take before the engine kills, in seconds. An idle seeder needs about 2. */
export const STOP_SECONDS = 30;

/** Who started a container: a quickstart's own may be stopped by the next quickstart. */
export type StartedBy = "share" | "quickstart";

/** What a container is to serve, and with how much of the engine. */
export interface SharePlan {
  model: Model;
  /** Where its files are: a folder of the host, or a model hub from which the seeder fetches them into its cache. */
  files: { folder: string } | { hub: string };
  swarm: Swarm;
  /** An address or name of this computer, by which others are told to reach it; a swarm of one's own is opened by it. */
  host?: string;
  port: number;
  /** How many or which blocks; undefined for as many as fit. */
  blocks?: BlockChoice;
  limits: Limits;
  /** For blocks that are fetched from a model hub and kept. */
  diskBytes?: number;
  /** How the hub is reached goes in by stdin. */
  hubAccess?: Pick<HubAccess, "usesHost">;
  startedBy: StartedBy;
  /** When the command that starts it began, in milliseconds since 1970. */
  began?: number;
  /** Hash of the inputs that the image was built from, as its label tells. */
  inputs: string;
}

/**
 * The container that serves blocks, locked down: no root, no capabilities, nothing writable but its cache and /tmp.
 * Neither a token, nor a proxy's password, nor a prompt is in it; `docker inspect` may be shown to anybody.
 */
export function containerOptions(plan: SharePlan, names: Names): ContainerCreateOptions {
  const { limits } = plan;
  const port = `${plan.port}/tcp`;
  const commit = commitOf(plan.model);
  return {
    Image: names.image,
    Cmd: seederArguments(plan),
    User: CONTAINER_USER,
    Env: [...threadSettings(limits.threads), ...("hub" in plan.files ? [`HF_ENDPOINT=${plan.files.hub}`] : [])],
    Labels: {
      [LABELS.managed]: "1",
      [LABELS.version]: VERSION,
      [LABELS.instance]: names.instance,
      [LABELS.inputs]: plan.inputs,
      [LABELS.model]: plan.model.id,
      ...(commit !== undefined && { [LABELS.revision]: commit }),
      [LABELS.blocks]: plan.blocks === undefined ? "auto" : formatBlocks(plan.blocks),
      [LABELS.swarm]: swarmText(plan.swarm),
      [LABELS.port]: String(plan.port),
      ...(plan.host !== undefined && { [LABELS.host]: plan.host }),
      ...(plan.began !== undefined && { [LABELS.began]: String(plan.began) }),
      [LABELS.startedBy]: plan.startedBy,
    },
    ExposedPorts: { [port]: {} },
    StopSignal: "SIGINT",
    StopTimeout: STOP_SECONDS,
    Healthcheck: {
      Test: ["CMD", "cat", STATUS_FILE],
      Interval: 5 * SECOND,
      Timeout: 3 * SECOND,
      Retries: 3,
    },
    Tty: false,
    OpenStdin: plan.hubAccess !== undefined,
    StdinOnce: plan.hubAccess !== undefined,
    HostConfig: {
      Init: true,
      ReadonlyRootfs: true,
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges:true"],
      Memory: limits.memoryBytes,
      MemorySwap: limits.memoryBytes,
      NanoCpus: limits.nanoCpus,
      PidsLimit: 1024,
      ShmSize: GIB,
      Tmpfs: { "/tmp": "uid=10001,gid=10001,mode=1777,size=256m" },
      LogConfig: { Type: "json-file", Config: { "max-size": "5m", "max-file": "2" } },
      NetworkMode: names.network,
      ...(plan.hubAccess?.usesHost && { ExtraHosts: [`${HOST_NAME}:host-gateway`] }),
      PortBindings: { [port]: [{ HostIp: isOpen(plan) ? "0.0.0.0" : "127.0.0.1", HostPort: String(plan.port) }] },
      RestartPolicy: { Name: "no" },
      AutoRemove: false,
      Mounts: [
        { Type: "volume", Source: names.volume, Target: "/cache" },
        ...("folder" in plan.files
          ? [{ Type: "bind" as const, Source: plan.files.folder, Target: "/model", ReadOnly: true }]
          : []),
      ],
    },
  };
}

/** One's own swarm is practice on this computer unless it is opened; in others' swarms peers must be able to connect. */
function isOpen({ swarm, host }: SharePlan): boolean {
  return swarm.kind !== "private" || host !== undefined;
}

function seederArguments(plan: SharePlan): string[] {
  const { model, swarm, host, port } = plan;
  // Questions from this computer come by loopback, whatever network it is in then.
  const announced = [...(swarm.kind === "private" ? ["127.0.0.1"] : []), ...(host === undefined ? [] : [host])];
  return [
    ...["--model", model.id],
    ...(model.source.kind === "hub"
      ? ["--model-path", model.source.repository, "--revision", model.source.revision]
      : ["--model-path", "/model"]),
    ...["--dht-prefix", model.dhtPrefix],
    ...(swarm.kind === "private" ? ["--new-swarm"] : []),
    ...announced.flatMap((name) => ["--announce", multiaddr(name, port)]),
    ...(swarm.kind === "join" ? swarm.peers.flatMap((peer) => ["--initial-peer", peer]) : []),
    ...["--port", String(plan.port)],
    ...(plan.blocks === undefined ? [] : ["--blocks", formatBlocks(plan.blocks)]),
    ...(plan.diskBytes === undefined ? [] : ["--max-disk-space", String(plan.diskBytes)]),
    ...(plan.hubAccess ? ["--hub-stdin"] : []),
    ...["--status-file", STATUS_FILE],
  ];
}
