import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Paths } from "../paths";
import { readInvite, writeInvite, type Invite } from "../sharing/invite";
import type { EngineChoice } from "./engine-choice";

/** What is remembered between questions. */
export interface AskSettings {
  /** What was asked last: offered first the next time. */
  lastChoice?: EngineChoice;
  /** When the user agreed that questions may pass through strangers' computers, ISO-8601 UTC. */
  allowedStrangersAt?: string;
}

type Where = Pick<Paths, "home">;

/** What is remembered; nothing where the file is missing or damaged: it is only a convenience. */
export function readAskSettings(paths: Where): AskSettings {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(fileIn(paths), "utf8"));
  } catch {
    return {};
  }
  if (typeof content !== "object" || content === null) return {};
  const { lastChoice, allowedStrangersAt } = content as Record<string, unknown>;
  const choice = asChoice(lastChoice);
  return {
    ...(choice && { lastChoice: choice }),
    ...(typeof allowedStrangersAt === "string" && { allowedStrangersAt }),
  };
}

/**
 * Remembers more; what isn't named stays as it is.
 *
 * @example
 * rememberAskSettings(paths, { allowedStrangersAt: new Date().toISOString() });
 */
export function rememberAskSettings(paths: Where, more: AskSettings): void {
  const draft = `${fileIn(paths)}.${crypto.randomUUID()}`;
  try {
    writeFileSync(draft, toJson({ ...readAskSettings(paths), ...more }), { mode: 0o600 });
    renameSync(draft, fileIn(paths));
  } finally {
    rmSync(draft, { force: true });
  }
}

/** An invite as people give it, which is looked through when it is read back. */
function toJson(settings: AskSettings): string {
  return JSON.stringify(settings, (key, value: unknown) => (key === "invite" ? writeInvite(value as Invite) : value));
}

function fileIn(paths: Where): string {
  return join(paths.home, "ask.json");
}

/** Nothing is taken for granted in what is read. */
function asChoice(value: unknown): EngineChoice | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { kind, model, baseUrl, swarm } = value as Record<string, unknown>;
  const named = typeof model === "string" ? { model } : {};
  if (kind === "this" && typeof model === "string") return { kind, model };
  if (kind === "server" && typeof baseUrl === "string") return { kind, baseUrl, ...named };
  if (kind === "swarm") {
    const known = asSwarm(swarm);
    return { kind, ...named, ...(known && { swarm: known }) };
  }
  return undefined;
}

function asSwarm(value: unknown): Extract<EngineChoice, { kind: "swarm" }>["swarm"] {
  if (typeof value !== "object" || value === null) return undefined;
  const { kind, peers, invite } = value as Record<string, unknown>;
  if (kind === "private" || kind === "public") return { kind };
  const known = asInvite(invite);
  if (kind === "join" && known) return { kind, peers: known.peers, invite: known };
  if (kind === "join" && Array.isArray(peers)) {
    return { kind, peers: peers.filter((peer): peer is string => typeof peer === "string") };
  }
  return undefined;
}

function asInvite(value: unknown): Invite | undefined {
  try {
    return typeof value === "string" ? readInvite(value) : undefined;
  } catch {
    return undefined;
  }
}
