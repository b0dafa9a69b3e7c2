import { openEngine, type EngineContext } from "../lib/context";
import { parseBlocks } from "../lib/sharing/blocks";
import { parseAmount, parseBytes, type LimitRequest } from "../lib/sharing/limits";
import { share, type ShareOptions } from "../lib/sharing/share";
import type { SharingStatus } from "../lib/sharing/status";
import { parseSwarm } from "../lib/sharing/swarm";
import type { Session } from "./session";
import { runShareCheck, runShareList } from "./share-check";

export interface ShareFlags {
  model?: string;
  swarm?: string[];
  blocks?: string;
  port?: number;
  lan?: true | string;
  cpus?: string;
  memory?: string;
  disk?: string;
  wait: boolean;
  list?: boolean;
  check?: boolean;
}

/** `torbiz share`: returns when the server is ONLINE; the container goes on. */
export async function runShare(session: Session, flags: ShareFlags): Promise<void> {
  const limits = limitsOf(flags);
  if (flags.list) return runShareList(session, limits);
  if (flags.check) return runShareCheck(session, { model: flags.model, limits });
  const { output, surroundings, signal } = session;
  const context = await openEngine(surroundings, { onProgress: output.progress, signal });
  await startSharing(session, context, {
    ...flags,
    swarm: flags.swarm && parseSwarm(flags.swarm),
    blocks: flags.blocks === undefined ? undefined : parseBlocks(flags.blocks),
    limits,
  });
}

/** Shares, and tells what came of it. */
export async function startSharing(
  { output, surroundings, signal }: Session,
  context: EngineContext,
  options: Pick<ShareOptions, "model" | "swarm" | "blocks" | "port" | "lan" | "limits" | "wait">,
): Promise<void> {
  const { model, swarm, blocks, port, lan, limits, wait } = options;
  const { status, adopted, outdatedImage } = await share(context, {
    ...{ model, swarm, blocks, port, lan, limits, wait },
    token: surroundings.env.HF_TOKEN || undefined,
    onProgress: output.progress,
    onNote: output.note,
    signal,
  });
  if (outdatedImage) {
    output.note("The image is of an older Torbiz. It still serves; `torbiz build` brings it up to date.");
  }
  output.result({ adopted, outdatedImage, ...status }, describeShare(status));
}

/** @throws TorbizError limit-invalid */
export function limitsOf({
  cpus,
  memory,
  disk,
}: Pick<ShareFlags, "cpus" | "memory" | "disk">): LimitRequest | undefined {
  if (cpus === undefined && memory === undefined && disk === undefined) return undefined;
  return {
    cpus: cpus === undefined ? undefined : parseAmount(cpus, "processors"),
    memory: memory === undefined ? undefined : parseAmount(memory, "bytes"),
    diskBytes: disk === undefined ? undefined : parseBytes(disk),
  };
}

/** A running share in a few lines for people. */
function describeShare(status: SharingStatus): string {
  if (status.state !== "online") {
    return `Sharing ${status.model} is starting. See \`torbiz status\` and \`torbiz logs -f\`.`;
  }
  return [
    `Sharing ${status.model}: ${describeBlocks(status)}.`,
    `  Peer     ${status.peerId}`,
    ...status.addresses.map((address) => `  Address  ${address}`),
    "Stop with `torbiz stop`.",
  ].join("\n");
}

/** "30 blocks (0 to 29)", or "1 of 30 blocks loaded" while it loads. */
export function describeBlocks({ blocks, state }: SharingStatus): string {
  if (!blocks) return "blocks not chosen yet";
  if (state === "starting") return `${blocks.loaded} of ${blocks.total} blocks loaded`;
  return `${blocks.total} blocks (${blocks.start} to ${blocks.end - 1})`;
}
