import { readFileSync } from "node:fs";
import { join } from "node:path";
import { BuildProgressParser, type BuildProgress } from "../../../src/lib/docker/build/progress";
import type { StepSeconds } from "../../../src/lib/docker/build/plan";

/** The builders that were recorded; the first line of each fixture tells their versions. */
export const BUILDERS = ["classic", "buildkit", "buildx", "buildx-26"];

/** What a real build wrote (record.ts makes these), the Dockerfile that it was given, or what it left in the engine. */
export function fixture(name: string): string {
  return readFileSync(join(import.meta.dirname, "fixtures", name), "utf8").replace(/^# Recorded .*\n/, "");
}

export interface Replay {
  /** Progress after each line and every second between, and when that was. */
  seen: Array<BuildProgress & { at: number }>;
  parser: BuildProgressParser;
  /** Seconds that the whole took. */
  seconds: number;
}

/** Plays a recorded log ("seconds<TAB>line") to a parser, by a clock that runs as it did then. */
export function replay(name: string, options: { history?: StepSeconds; live?: boolean } = {}): Replay {
  let clock = 0;
  const dockerfile = fixture("Dockerfile.recorded");
  const parser = new BuildProgressParser({ dockerfile, history: options.history, now: () => clock * 1000 });
  const seen: Replay["seen"] = [];
  const look = () => seen.push({ ...parser.progress(), at: clock });
  for (const entry of fixture(name).trimEnd().split("\n")) {
    const [seconds, line] = entry.split("\t", 2) as [string, string];
    for (; clock + 1 < Number(seconds); clock++) look();
    clock = Number(seconds);
    parser.read(line, options.live);
    look();
  }
  return { seen, parser, seconds: clock };
}
