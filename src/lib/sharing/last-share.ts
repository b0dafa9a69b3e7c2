import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Surroundings } from "../context";

/** What was shared last: the default for the next share and for asking. */
export interface LastShare {
  model: string;
  /** As `swarmText` writes it. */
  swarm: string;
}

function file({ paths, names }: Pick<Surroundings, "paths" | "names">): string {
  return join(paths.run, `last-share${names.instance && `-${names.instance}`}.json`);
}

/** Remembers a share. */
export function rememberShare(surroundings: Pick<Surroundings, "paths" | "names">, share: LastShare): void {
  const path = file(surroundings);
  writeFileSync(`${path}.new`, JSON.stringify(share), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** What was shared last, or undefined when nothing was or the file is damaged: it is only a convenience. */
export function lastShare(surroundings: Pick<Surroundings, "paths" | "names">): LastShare | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(file(surroundings), "utf8"));
    if (typeof value !== "object" || value === null) return undefined;
    const { model, swarm } = value as Record<string, unknown>;
    return typeof model === "string" && typeof swarm === "string" ? { model, swarm } : undefined;
  } catch {
    return undefined;
  }
}
