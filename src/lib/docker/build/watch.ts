import { setTimeout as sleep } from "node:timers/promises";
import type { Names } from "../../names";
import type { Paths } from "../../paths";
import { isAlive } from "../../is-alive";
import { buildEnd, LAST_LINE, type BuildEnd } from "./build-end";
import { followBuildLog, type SilenceLimits } from "./follow-log";
import { addToHistory } from "./history";
import { readLock, type RunningBuild } from "./lock";
import { openParser } from "./open-parser";
import type { BuildProgress } from "./progress";

/** Where a build is, and how patient its watcher. */
export interface BuildPlace {
  paths: Paths;
  names: Names;
  /** The folder that holds docker/ and python/. */
  runtimeFiles: string;
  /** For how long the build may say nothing. */
  limits?: SilenceLimits;
}

/** Time for a build to end by itself when it is cancelled, in milliseconds; then it is killed. */
const CANCEL_MS = 20_000;

/**
 * Watches a build to its end, and keeps what its steps took.
 *
 * @param signal ends the watching, not the build
 * @returns how it ended; undefined when it wrote nothing, or `signal` came before its end
 * @throws TorbizError docker-not-answering when it says nothing for too long
 */
export async function* watchBuild(
  { paths, names, runtimeFiles, limits }: BuildPlace,
  build: RunningBuild,
  signal?: AbortSignal,
): AsyncGenerator<BuildProgress, BuildEnd | undefined> {
  const { pid, log } = build;
  const parser = openParser(paths, runtimeFiles, build);
  const lines: string[] = [];
  const isRunning = () => runs(paths, names, pid);
  for await (const news of followBuildLog({ log, pid, isRunning, signal, limits })) {
    for (const { text, live } of news) {
      lines.push(text);
      parser.read(text, live);
    }
    yield parser.progress();
  }
  if (signal?.aborted && !LAST_LINE.test(lines.at(-1) ?? "")) return undefined;
  // Its last line comes before it has cleaned up after itself, and only then may the next one begin.
  await untilEnded(paths, names, pid);
  const end = buildEnd(lines, log);
  if (end?.outcome === "done") addToHistory(paths, parser.stepSeconds());
  return end;
}

/**
 * Ends a build: by SIGTERM, and its whole group by SIGKILL where that doesn't help. One that leads its group runs no more when
 * this returns.
 */
export async function endBuild(paths: Paths, names: Names, pid: number): Promise<void> {
  const send = (target: number, signal: NodeJS.Signals) => {
    try {
      if (isAlive(pid)) process.kill(target, signal);
    } catch {
      // It has ended by itself.
    }
  };
  send(pid, "SIGTERM");
  await untilEnded(paths, names, pid);
  if (!runs(paths, names, pid)) return;
  send(-pid, "SIGKILL");
  await untilEnded(paths, names, pid);
}

/** Whether that very build goes on: it gives its lock back when all is done. */
function runs(paths: Paths, names: Names, pid: number): boolean {
  return readLock(paths, names)?.pid === pid && isAlive(pid);
}

async function untilEnded(paths: Paths, names: Names, pid: number): Promise<void> {
  for (const limit = performance.now() + CANCEL_MS; runs(paths, names, pid) && performance.now() < limit;) {
    await sleep(50);
  }
}
