import { openEngine } from "../lib/context";
import { TorbizError } from "../lib/errors";
import { parseBlocks } from "../lib/sharing/blocks";
import { checkJoin, type Finding } from "../lib/sharing/join-check";
import { parseSwarm, swarmText } from "../lib/sharing/swarm";
import type { Session } from "./session";
import { limitsOf, startSharing, type ShareFlags } from "./share";

export type JoinFlags = Omit<ShareFlags, "swarm" | "list">;

/** `torbiz join`: looks at a swarm first, then shares what it lacks there. */
export async function runJoin(session: Session, where: readonly string[], flags: JoinFlags): Promise<void> {
  const { output, surroundings, signal } = session;
  const swarm = parseSwarm(where);
  if (swarm.kind !== "join") {
    throw new TorbizError("swarm-invalid", `"${where.join(" ")}" is neither an invite nor a peer's address.`, {
      hint: "Name an invite, or a peer's address such as /ip4/1.2.3.4/tcp/31330/p2p/12D3...",
    });
  }
  const limits = limitsOf(flags);
  const blocks = flags.blocks === undefined ? undefined : parseBlocks(flags.blocks);
  const context = await openEngine(surroundings, { onProgress: output.progress, signal });
  output.progress({ stage: "looking", message: "Looking at the swarm", progress: null });
  const token = surroundings.env.HF_TOKEN || undefined;
  const { model, findings, suggestion, sharedAs } = await checkJoin(context, {
    swarm,
    model: flags.model,
    limits,
    token,
    signal,
  });
  if (flags.check) {
    const fields = { model: model.id, swarm: swarmText(swarm), findings, suggestion };
    return output.result(fields, [`${model.title}, ${model.blocks} blocks.`, ...findings.map(findingText)].join("\n"));
  }
  for (const finding of findings) output.note(findingText(finding));
  const { port, lan, wait } = flags;
  await startSharing(session, context, {
    // Who is in already by other peers isn't to join anew.
    ...{ model: model.id, swarm: sharedAs ?? swarm, port, lan, limits, wait },
    blocks: blocks ?? suggestion ?? undefined,
  });
}

/** A finding for people; one that may cause trouble is marked. */
export function findingText({ warning, sentence }: Finding): string {
  return `${warning ? "! " : ""}${sentence}`;
}
