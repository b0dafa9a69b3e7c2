import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Surroundings } from "../context";
import { isPort } from "./port";
import { isBlockChoice, type BlockChoice } from "./blocks";

/** A swarm and a model in it. */
export interface SwarmChoice {
  model: string;
  /** As `swarmText` writes it. */
  swarm: string;
}

/** What was shared last: offered first the next time. */
export interface Choice extends SwarmChoice {
  /** How many or which blocks to serve; as many as fit where none are named. */
  blocks?: BlockChoice;
  /** How it was opened to others: by this computer's address in the local network, or by another host. */
  lan?: true | string;
  /** The port it was served on, where that was chosen. */
  port?: number;
}

type Where = Pick<Surroundings, "paths" | "names">;

/** Remembers what is shared: it is also what `ask` means from now on. */
export function rememberChoice(where: Where, shared: Choice): void {
  write(where, { shared, sharedAt: new Date().toISOString() });
}

/** Remembers which swarm was asked. What was shared last stays: asking a public swarm is no wish to share in it. */
export function rememberAsked(where: Where, asked: SwarmChoice): void {
  write(where, { ...read(where), asked });
}

/** What was shared last; undefined when nothing was, or the file is damaged: it is only a convenience. */
export function lastChoice(where: Where): Choice | undefined {
  return choice(read(where).shared);
}

/** When something was shared last, ISO-8601 UTC. */
export function lastShareAt(where: Where): string | undefined {
  const { sharedAt } = read(where);
  return typeof sharedAt === "string" ? sharedAt : undefined;
}

/** Whether something was shared after a time, ISO-8601 UTC: then what happened at that time is no news. */
export function wasSharedSince(where: Where, at: string): boolean {
  return at < (lastShareAt(where) ?? "");
}

/** The swarm that was asked or shared in last. */
export function lastAsked(where: Where): SwarmChoice | undefined {
  const { asked, shared } = read(where);
  return choice(asked) ?? choice(shared);
}

function file({ paths, names }: Where): string {
  return join(paths.run, `last-choice${names.instance && `-${names.instance}`}.json`);
}

/** Of the file: nothing is taken for granted in what is read. */
type Content = Partial<Record<"shared" | "sharedAt" | "asked", unknown>>;

/** Whole or not at all. */
function write(where: Where, content: Content): void {
  const draft = `${file(where)}.${crypto.randomUUID()}`;
  writeFileSync(draft, JSON.stringify(content), { mode: 0o600 });
  renameSync(draft, file(where));
}

function read(where: Where): Content {
  try {
    return (JSON.parse(readFileSync(file(where), "utf8")) ?? {}) as Content;
  } catch {
    return {};
  }
}

function choice(value: unknown): Choice | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { model, swarm, blocks, lan, port } = value as Record<string, unknown>;
  if (typeof model !== "string" || typeof swarm !== "string") return undefined;
  return {
    ...{ model, swarm },
    ...(isBlockChoice(blocks) && { blocks }),
    ...((lan === true || typeof lan === "string") && { lan }),
    ...(typeof port === "number" && isPort(port) && { port }),
  };
}
