import { openEngine } from "../lib/context";
import { defaultModel } from "../lib/models";
import { BAR_MARKS, blockBar, missingText } from "../lib/sharing/block-bar";
import { countBlocks, formatBlocks, rangeText, type BlockRange } from "../lib/sharing/blocks";
import { writeInvite } from "../lib/sharing/invite";
import { readSwarmMap, type SwarmMap } from "../lib/sharing/swarm-map";
import { parseSwarm, swarmText } from "../lib/sharing/swarm";
import type { Session } from "./session";
import { table } from "./table";

export interface SwarmFlags {
  swarm?: string[];
  model?: string;
}

/** Of a line, where the terminal doesn't tell how wide it is. */
const USUAL_COLUMNS = 80;

/** `torbiz swarm`: who serves which blocks, as the swarm itself tells. */
export async function runSwarm({ output, surroundings, signal }: Session, flags: SwarmFlags): Promise<void> {
  const context = await openEngine(surroundings);
  output.progress({ stage: "looking", message: "Looking who serves which blocks", progress: null });
  const map = await readSwarmMap(context, {
    swarm: flags.swarm && parseSwarm(flags.swarm),
    model: flags.model,
    signal,
  });
  output.result(
    {
      ...map,
      model: map.model.id,
      swarm: swarmText(map.swarm),
      suggestion: map.suggestion && { ...map.suggestion, command: command(map, map.suggestion) },
    },
    describeMap(map, process.stdout.columns || USUAL_COLUMNS),
  );
}

/** The map for people, in lines of at most so many columns, addresses and names aside. */
export function describeMap(map: SwarmMap, columns: number): string {
  const { model, swarm, blocks, servers, online, own, missing } = map;
  const [first, last] = ["0 ", ` ${blocks - 1}`];
  const bar = blockBar(online, own, columns - 2 - first.length - last.length);
  const rows = servers.map(({ peerId, name, state, start, end, throughput, relayed }) => [
    `  ${rangeText({ start, end })}`,
    state,
    `${throughput.toFixed(1)} tokens/s`,
    relayed ? "relayed" : "",
    peerId,
    [...(peerId === map.ownPeerId ? ["this computer"] : []), ...(name ? [name] : [])].join(", "),
  ]);
  return [
    `${model.title}, ${blocks} blocks. Swarm: ${swarmText(swarm)}`,
    `  ${first}${bar}${last}`,
    `  ${BAR_MARKS.own} this computer  ${BAR_MARKS.others} others  ${BAR_MARKS.missing} missing`,
    ...(rows.length > 0 ? [table([["  Blocks", "State", "Speed", "", "Peer", "Name"], ...rows])] : []),
    peersText(map),
    ...[missingText(missing) ?? "Every block is served."],
    ...advice(map),
  ].join("\n");
}

function peersText({ peers, ownPeerId, swarm }: SwarmMap): string {
  const count = peers === 1 ? "1 peer" : `${peers} peers`;
  if (ownPeerId === null) return `${count} online.`;
  const canInvite = peers === 0 && swarm.kind !== "public";
  return `${count} besides this computer.${canInvite ? " Invite others: `torbiz invite`" : ""}`;
}

/** What would help the swarm most; nothing where all is served and this computer shares already. */
function advice(map: SwarmMap): string[] {
  const { suggestion, missing, ownPeerId, fit } = map;
  if (ownPeerId !== null && missing.length === 0) return [];
  if (!suggestion) return ownPeerId === null ? [fit.reason] : [];
  const count = countBlocks(suggestion);
  const blocks = `${count} ${count === 1 ? "block" : "blocks"} from ${suggestion.start}`;
  if (ownPeerId === null) return [`Serve ${blocks}: \`${command(map, suggestion)}\``];
  return [`Another computer helps most with ${blocks}: --blocks ${formatBlocks(suggestion)}`];
}

/** What to type to serve what is suggested. */
function command({ model, swarm }: SwarmMap, suggestion: BlockRange): string {
  const blocks = `--blocks ${formatBlocks(suggestion)}`;
  // Its peers alone would lose the model's commit.
  if (swarm.kind === "join" && swarm.invite) return `torbiz join ${writeInvite(swarm.invite)} ${blocks}`;
  const peers = swarm.kind === "join" ? swarm.peers : swarm.kind === "public" ? ["public"] : [];
  return [
    "torbiz share",
    ...(model.id === defaultModel.id ? [] : [`--model ${model.id}`]),
    ...peers.map((peer) => `--swarm ${peer}`),
    blocks,
  ].join(" ");
}
