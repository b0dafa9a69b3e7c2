import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Surroundings } from "../context";

/** The swarm that was shared in or asked last, and its model: what `ask` means where nothing is shared. */
export interface LastSwarm {
  model: string;
  /** As `swarmText` writes it. */
  swarm: string;
}

type Where = Pick<Surroundings, "paths" | "names">;

function file({ paths, names }: Where): string {
  return join(paths.run, `last-swarm${names.instance && `-${names.instance}`}.json`);
}

/** Remembers a swarm, whole or not at all. */
export function rememberSwarm(where: Where, last: LastSwarm): void {
  const path = file(where);
  writeFileSync(`${path}.new`, JSON.stringify(last), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** What was remembered, or undefined when nothing was or the file is damaged: it is only a convenience. */
export function lastSwarm(where: Where): LastSwarm | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(file(where), "utf8"));
    if (typeof value !== "object" || value === null) return undefined;
    const { model, swarm } = value as Record<string, unknown>;
    return typeof model === "string" && typeof swarm === "string" ? { model, swarm } : undefined;
  } catch {
    return undefined;
  }
}
