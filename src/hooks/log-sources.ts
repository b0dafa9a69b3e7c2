import { readFile } from "node:fs/promises";
import type { EngineContext } from "../lib/context";
import { followBuildLog } from "../lib/docker/build/follow-log";
import { buildFiles, currentBuild } from "../lib/docker/build/lock";
import { isAlive } from "../lib/is-alive";
import { followLog, levelOf, readLog, type FollowedLine } from "../lib/sharing/log-lines";
import { redactHere } from "./redact-here";
import type { LogSource } from "./use-log";

/** What a container says, with the engine's own events between its lines. */
export function shareLog(context: EngineContext, containerId: string): LogSource {
  return redacted({
    follow: (signal) => followLog(context, containerId, signal),
    read: () => readLog(context, containerId),
  });
}

/** What the build that runs says, or what the last one said. */
export function buildLog({ paths, names }: EngineContext): LogSource {
  const read = () => linesOf(buildFiles(paths, names).log, buildLine);
  return redacted({
    read,
    async *follow(signal) {
      const running = currentBuild(paths, names);
      if (!running) return yield* read();
      const { pid, log } = running;
      const lines = followBuildLog({ pid, log, isRunning: () => isAlive(pid), signal });
      for await (const batch of lines) yield* batch.map(({ text }) => buildLine(text));
    },
  });
}

/** A log that was kept when its container was removed. */
export function fileLog(path: string): LogSource {
  const read = () => linesOf(path, keptLine);
  return redacted({ follow: read, read });
}

/** Without tokens, the home folder and the user's name: what is shown, copied or exported here is shown to others. */
function redacted({ follow, read }: LogSource): LogSource {
  const redact = redactHere();
  const clean = async function* (lines: AsyncIterable<FollowedLine>) {
    for await (const line of lines) yield { ...line, text: redact(line.text) };
  };
  return { follow: (signal) => clean(follow(signal)), read: () => clean(read()) };
}

async function* linesOf(path: string, read: (line: string) => FollowedLine): AsyncGenerator<FollowedLine> {
  const text = await readFile(path, "utf8");
  for (const line of text.split("\n").filter(Boolean)) yield read(line);
}

/** The builder's steps and our script's own words are what happens; the rest is what programs say meanwhile. */
function buildLine(text: string): FollowedLine {
  const isEvent = /^(?:Step \d+\/\d+ :|#\d+ \[|torbiz: )/.test(text);
  const isError = /^(?:#\d+ (?:\d+\.\d+ )?)?(?:ERROR:|torbiz: (?:error|failed)|Failed at:)/.test(text);
  return { time: "", text, kind: isEvent ? "event" : "log", ...(isError && { level: "error" }) };
}

/** "TIME text", as logs of containers are kept; what a build or another program left has no times. */
function keptLine(line: string): FollowedLine {
  const [, time = "", text = line] = /^(\d{4}-\d\d-\d\dT\S+Z) (.*)$/.exec(line) ?? [];
  return { time, text, kind: "log", level: levelOf(text) };
}
