import { rmSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { TorbizError } from "./errors";
import { defaultModel } from "./models";
import type { Paths } from "./paths";

/** Version of what is made: `FORMAT` in python/torbiz/starter.py. */
const FORMAT = 1;

/** Where the starter model is: `petals/` for the seeder and the swarm's client, `gguf/` for llama.cpp. */
export function starterFolder(paths: Pick<Paths, "models">): string {
  return join(paths.models, defaultModel.id);
}

/** A look at sizes, not at contents: it is done at each start. */
export async function inspectStarter(paths: Pick<Paths, "models">): Promise<"ready" | "damaged" | "absent"> {
  const folder = starterFolder(paths);
  try {
    await stat(folder);
  } catch {
    return "absent";
  }
  try {
    const note = JSON.parse(await readFile(join(folder, "ready.json"), "utf8")) as ReadyNote;
    const files = Object.entries(note.files);
    const sizes = await Promise.all(files.map(async ([name]) => (await stat(join(folder, name))).size));
    return note.format === FORMAT && files.every(([, { size }], index) => sizes[index] === size) ? "ready" : "damaged";
  } catch {
    return "damaged";
  }
}

/** What torbiz.starter writes last, as far as it is looked at here. */
interface ReadyNote {
  format: number;
  /** By path in the folder. */
  files: Record<string, { size: number }>;
}

/** Lets the next start prepare the model anew: its files have the right sizes, but could not be read. */
export function distrustStarterModel(paths: Pick<Paths, "models">): void {
  rmSync(join(starterFolder(paths), "ready.json"), { force: true });
}

/** How a preparation says why it failed. */
export interface StarterFailure {
  error: string;
  code: string;
}

/** A line of torbiz.starter's protocol, undefined for anything else. */
export function parseStarterLine(text: string): { progress: number; message: string } | StarterFailure | undefined {
  try {
    const { progress, message, error, code } = JSON.parse(text) as Record<string, unknown>;
    if (typeof progress === "number" && typeof message === "string") return { progress, message };
    if (typeof error === "string" && typeof code === "string") return { error, code };
  } catch {
    // Not JSON, or not an object: something else wrote it.
  }
  return undefined;
}

/** Why a preparation ended without a model. @param lines the last that it wrote */
export function starterError(
  exitCode: number | undefined,
  failure: StarterFailure | undefined,
  lines: readonly string[],
  paths: Pick<Paths, "models">,
): TorbizError {
  if (failure?.code === "disk-full") {
    return new TorbizError("disk-full", failure.error, {
      hint: `Free some space on the disk that holds ${paths.models}, and try again.`,
    });
  }
  if (failure?.code === "home-not-writable") {
    return new TorbizError("home-not-writable", `${paths.models} can't be written: ${failure.error}`);
  }
  if (failure) return new TorbizError("starter-failed", failure.error);
  // 137, or none at all: killed from outside, which is what happens when memory runs out.
  const cause =
    exitCode === 137 || exitCode === undefined
      ? "it was killed, perhaps for lack of memory"
      : `it ended with exit code ${exitCode}: ${lines.at(-1) ?? "it said nothing"}`;
  return new TorbizError("starter-failed", `The starter model couldn't be prepared: ${cause}.`, { details: { lines } });
}
