import { readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { EngineContext } from "../../src/lib/context";
import { LABELS } from "../../src/lib/names";
import { textOf } from "./second-engine";

/** What was told to end may take that long to be gone, in milliseconds. */
const GONE_MS = 20_000;

/**
 * What is there of an instance and its home folder when nothing is shared or built, and nobody waits for a command: containers,
 * processes that were orphaned or never reaped, locks and sockets. An ask server may stay, with what it holds.
 *
 * @returns a line for each that stays; Linux only
 */
export async function leftBehind(context: EngineContext, withinMs = GONE_MS): Promise<string[]> {
  for (const end = Date.now() + withinMs; ; await sleep(200)) {
    const left = [...(await containersOf(context)), ...processesOf(context), ...locksOf(context)];
    if (left.length === 0 || Date.now() >= end) return left;
  }
}

/** Containers of this instance, running or not: of shares and of preparations. */
export async function containersOf({ engine, names }: EngineContext): Promise<string[]> {
  const found = await engine.list(`${LABELS.instance}=${names.instance}`);
  return found.map(({ Names, State }) => `${Names[0]} ${State}`);
}

interface Process {
  pid: number;
  parent: number;
  /** "Z" is a zombie. */
  state: string;
  /** In the system's ticks since it began. */
  startedAt: number;
  command: string;
  environment: string;
}

/**
 * Those that began after this test and know of the home folder or build the image, as docker and its plugin do; and the
 * zombies among their children and ours.
 */
function processesOf({ paths: { home }, names: { image } }: EngineContext): string[] {
  const all = processes();
  const began = all.find(({ pid }) => pid === process.pid)?.startedAt ?? 0;
  const servers = all.filter(({ command }) => command.includes("torbiz.ask_server")).map(({ pid }) => pid);
  const ours = all.filter(
    ({ pid, parent, startedAt, command, environment }) =>
      startedAt > began &&
      !servers.includes(pid) &&
      !servers.includes(parent) &&
      (command.includes(`${home}/`) ||
        command.includes(`${image}-building`) ||
        environment.split("\0").includes(`TORBIZ_HOME=${home}`)),
  );
  const parents = [process.pid, ...ours.map(({ pid }) => pid)];
  const zombies = all.filter(({ state, parent }) => state === "Z" && parents.includes(parent));
  return [
    ...ours.map(({ pid, command }) => `process ${pid}: ${command.replaceAll("\0", " ").trim()}`),
    ...zombies.map(({ pid, parent }) => `zombie ${pid} of ${parent}`),
  ];
}

function processes(): Process[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      // "PID (any name) STATE PARENT ...", with the start as the 22nd field
      const fields = textOf(`/proc/${name}/stat`)
        .replace(/^.*\) /s, "")
        .split(" ");
      const [state, parent, startedAt] = [fields[0], Number(fields[1]), Number(fields[19])];
      const command = textOf(`/proc/${name}/cmdline`);
      const environment = textOf(`/proc/${name}/environ`);
      return state ? [{ pid: Number(name), parent, state, startedAt, command, environment }] : [];
    });
}

function locksOf({ paths: { run } }: EngineContext): string[] {
  // A download's lock is the kernel's, as an ask server's is: its file stays, and holds nothing when its process has ended.
  return readdirSync(run).filter((name) => /\.(lock|sock)\b/.test(name) && !/^(ask|download)-/.test(name));
}
