import { mkdirSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { cpus, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { ask } from "../src/lib/ask/ask";
import { ConversationStore } from "../src/lib/ask/conversations/store";
import type { EngineChoice } from "../src/lib/ask/engine-choice";
import { openEngine, openSurroundings, type EngineContext } from "../src/lib/context";
import { defaultModel } from "../src/lib/models";
import { OverviewReader } from "../src/lib/sharing/overview";
import { peekStatus } from "../src/lib/sharing/peek";
import { share } from "../src/lib/sharing/share";
import { stopSharing } from "../src/lib/sharing/stop";
import { median, round } from "./bench/figures";
import { markdownTable, writeSection } from "./bench/section";

/**
 * What a share costs that is left running: `npm run bench:soak -- --minutes 30`, as root on Linux with Docker. A share, an ask
 * through the swarm every three seconds, and each second the looks of a menu bar and of an open view; every ten seconds the
 * memory and the descriptors of each process. It has a home folder and an instance of its own. JSON comes on stdout.
 */

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const HOME = join(ROOT, "test-results", "soak-home");
const PORT = 31_398;
const SAMPLE_MS = 10_000;
const POLL_MS = 1_000;
const ASK_MS = 3_000;
/** Turns of a conversation before the next one begins. */
const TURNS = 10;
/** Points of the recorded course; each is the median of the samples around it. */
const POINTS = 7;

const env = { ...process.env, TORBIZ_HOME: HOME, TORBIZ_INSTANCE: "soak" };

/**
 * `megabytes`: of what was allocated, in which a page that n processes share counts 1/n. Files that are mapped are left
 * out: their share changes with whatever other containers of the same image come and go.
 */
interface Cost {
  processes: number;
  megabytes: number;
  descriptors: number;
}

type Sample = { seconds: number } & Record<Role, Cost>;

const ROLES = {
  seeder: "Seeder: Petals' server",
  seederForks: "Seeder: what it forked (handlers, DHT, runtime)",
  seederP2pd: "Seeder: p2pd",
  askServer: "Ask server",
  askForks: "Ask server: what it forked (DHT)",
  askP2pd: "Ask server: p2pd",
  looks: "The looks and the asking (this script)",
} as const;
type Role = keyof typeof ROLES;

interface ProcessEntry {
  pid: number;
  parent: number;
  command: string;
}

const note = (text: string) => void process.stderr.write(`${text}\n`);

/** All processes of this computer; one that ends meanwhile isn't there. */
async function processes(): Promise<ProcessEntry[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      try {
        const command = (await readFile(`/proc/${pid}/cmdline`, "utf8")).replaceAll("\0", " ").trim();
        const parent = /^PPid:\s*(\d+)$/m.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1];
        return [{ pid: Number(pid), parent: Number(parent), command }];
      } catch {
        return [];
      }
    }),
  );
  return found.flat();
}

function descendants(all: readonly ProcessEntry[], pid: number): ProcessEntry[] {
  const children = all.filter(({ parent }) => parent === pid);
  return children.flatMap((child) => [child, ...descendants(all, child.pid)]);
}

async function costOf(pids: readonly number[]): Promise<Cost> {
  const cost: Cost = { processes: 0, megabytes: 0, descriptors: 0 };
  for (const pid of pids) {
    try {
      const memory = await readFile(`/proc/${pid}/smaps_rollup`, "utf8");
      cost.descriptors += (await readdir(`/proc/${pid}/fd`)).length;
      for (const [, kilobytes] of memory.matchAll(/^Pss_(?:Anon|Shmem):\s*(\d+) kB$/gm)) {
        cost.megabytes += Number(kilobytes) / 1_024;
      }
      cost.processes += 1;
    } catch {
      continue; // It ended meanwhile.
    }
  }
  return { ...cost, megabytes: round(cost.megabytes) };
}

/** What one process and all that it started cost, by what they are. */
async function costsBelow(all: readonly ProcessEntry[], pid: number) {
  const below = descendants(all, pid);
  const isP2pd = ({ command }: ProcessEntry) => /\bp2pd\b/.test(command);
  return {
    itself: await costOf([pid]),
    p2pd: await costOf(below.filter(isP2pd).map((entry) => entry.pid)),
    forks: await costOf(below.filter((entry) => !isP2pd(entry)).map((entry) => entry.pid)),
  };
}

async function sample(containerPid: number, since: number): Promise<Sample> {
  const all = await processes();
  const servers = all.filter(({ command }) => command.includes("torbiz.ask_server") && command.includes(HOME));
  // What the server forks has its command line, too.
  const askServer = servers.find(({ parent }) => !servers.some(({ pid }) => pid === parent));
  if (!askServer) throw new Error("There is no ask server.");
  // The container's first process only passes signals on.
  const [seederRoot] = descendants(all, containerPid);
  if (!seederRoot) throw new Error("There is no seeder.");
  const seeder = await costsBelow(all, seederRoot.pid);
  const asking = await costsBelow(all, askServer.pid);
  return {
    seconds: Math.round((performance.now() - since) / 1_000),
    seeder: seeder.itself,
    seederForks: seeder.forks,
    seederP2pd: seeder.p2pd,
    askServer: asking.itself,
    askForks: asking.forks,
    askP2pd: asking.p2pd,
    looks: await costOf([process.pid]),
  };
}

/** Does something again and again until the end; its failures are told at the end, as none must be. */
async function repeat(until: number, pauseMs: number, work: (round: number) => Promise<unknown>) {
  const done = { times: 0, failures: [] as string[] };
  for (let next = performance.now(); next < until; next = Math.max(next + pauseMs, performance.now())) {
    await sleep(next - performance.now());
    try {
      await work(done.times);
    } catch (error) {
      done.failures.push(error instanceof Error ? error.message : String(error));
    }
    done.times += 1;
  }
  return done;
}

async function soak(context: EngineContext, containerPid: number, minutes: number) {
  const surroundings = openSurroundings({ runtimeFiles: ROOT, env });
  const store = new ConversationStore(surroundings.paths.conversations);
  const choice: EngineChoice = { kind: "swarm", model: defaultModel.id, swarm: { kind: "private" } };
  const reader = new OverviewReader(surroundings);
  let conversation = "";
  let tokens = 0;
  const askNext = async (index: number) => {
    if (index % TURNS === 0) conversation = await store.create();
    const prompt = `This is question ${index}: name one thing that is found at sea, other than those before.`;
    const answer = await ask({
      surroundings,
      choice,
      prompt,
      conversation,
      sampling: { temperature: 0, maxTokens: 32 },
    });
    if (answer.text === "") throw new Error("The answer is empty.");
    tokens += answer.usage.completionTokens;
  };
  // The first answer starts the ask server; the course begins after it.
  await askNext(0);

  const since = performance.now();
  const until = since + minutes * 60_000;
  const samples: Sample[] = [];
  const [asks, peeks, looks, sampling] = await Promise.all([
    repeat(until, ASK_MS, (index) => askNext(index + 1)),
    repeat(until, POLL_MS, async () => {
      const { state } = await peekStatus(surroundings);
      if (state !== "online") throw new Error(`The menu bar saw the share ${state}.`);
    }),
    repeat(until, POLL_MS, async () => {
      const { screen } = await reader.look();
      if (screen !== "live") throw new Error(`The view saw ${screen}.`);
    }),
    repeat(until, SAMPLE_MS, async (index) => {
      samples.push(await sample(containerPid, since));
      if (index % 6 === 0) note(`${index / 6} of ${minutes} minutes`);
    }),
  ]);
  const container = await context.engine.inspect(context.names.container);
  if (container?.State.Pid !== containerPid) throw new Error("It is not the same container any more.");
  return { asks, tokens, peeks, looks, sampling, samples };
}

type Course = ReturnType<typeof grown>;

/** The course of one process: medians around evenly spaced points, so that one moment decides none. */
function course(samples: readonly Sample[], role: Role): Course {
  const points = Array.from({ length: POINTS }, (_, point) => {
    const width = samples.length / POINTS;
    const around = samples.slice(Math.floor(point * width), Math.floor((point + 1) * width)).map((each) => each[role]);
    return {
      processes: median(around.map(({ processes: count }) => count)),
      megabytes: round(median(around.map(({ megabytes }) => megabytes))),
      descriptors: median(around.map(({ descriptors }) => descriptors)),
    };
  });
  return grown(ROLES[role], points);
}

/** Several processes as one: memory goes from one to the other where they no longer share a page. */
function together(name: string, courses: readonly Course[]): Course {
  const points = Array.from({ length: POINTS }, (_, point) => {
    const all = courses.flatMap(({ course: each }) => each[point] ?? []);
    const sum = (what: keyof Cost) => round(all.reduce((total, cost) => total + cost[what], 0));
    return { processes: sum("processes"), megabytes: sum("megabytes"), descriptors: sum("descriptors") };
  });
  return grown(name, points);
}

function grown(name: string, points: Cost[]) {
  // The first part still fills caches.
  const [warm, end] = [points[1], points.at(-1)];
  if (!warm || !end) throw new Error("It was too short: there are no samples.");
  return {
    name,
    course: points,
    memoryGrowth: round(end.megabytes / warm.megabytes),
    descriptorsLeft: end.descriptors - warm.descriptors,
  };
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { minutes: { type: "string", default: "30" } } });
  const minutes = Number(values.minutes);
  if (!(minutes >= 2)) throw new Error("--minutes is a number, 2 at least.");
  mkdirSync(HOME, { recursive: true, mode: 0o700 });
  const context = await openEngine(openSurroundings({ runtimeFiles: ROOT, env }));
  await share(context, {
    swarm: { kind: "private" },
    port: PORT,
    onProgress: ({ message }) => note(message),
  });
  try {
    const container = await context.engine.inspect(context.names.container);
    if (!container?.State.Pid) throw new Error("The share's process isn't on this computer.");
    const { samples, tokens, ...jobs } = await soak(context, container.State.Pid, minutes);
    const each = (Object.keys(ROLES) as Role[]).map((role) => course(samples, role));
    const report = {
      machine: `${cpus().length} x ${cpus()[0]?.model ?? "?"}, ${Math.round(totalmem() / 1e9)} GB, Docker ${context.facts.version}, Node ${process.versions.node}`,
      model: defaultModel.title,
      minutes,
      asks: jobs.asks.times,
      tokens,
      looks: jobs.peeks.times + jobs.looks.times,
      failures: Object.values(jobs).flatMap(({ failures }) => failures),
      processes: [
        ...each,
        together("Seeder, all of it", each.slice(0, 3)),
        together("Ask server, all of it", each.slice(3, 6)),
      ],
    };
    process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
    await writeFile(join(ROOT, "docs/soak-benchmark.json"), `${JSON.stringify(report, null, 2)}\n`);
    await writeReport(report);
    if (report.failures.length > 0) process.exitCode = 1;
  } finally {
    await stopSharing(context, {});
  }
}

interface Report {
  machine: string;
  model: string;
  minutes: number;
  asks: number;
  tokens: number;
  looks: number;
  failures: string[];
  processes: Course[];
}

async function writeReport({ machine, model, minutes, asks, tokens, looks, failures, processes: all }: Report) {
  const span = (values: number[]) => values.join(", ");
  const table = markdownTable([
    ["Process", "Memory, MB", "End to begin", "Descriptors"],
    ...all.map(({ name, course: points, memoryGrowth }) => [
      name,
      span(points.map(({ megabytes }) => Math.round(megabytes))),
      `${memoryGrowth} times`,
      span(points.map(({ descriptors }) => descriptors)),
    ]),
  ]);
  const part = round(minutes / POINTS);
  const body =
    `\`npm run bench:soak -- --minutes ${minutes}\` wrote this section and [soak-benchmark.json](soak-benchmark.json). ` +
    `Machine: ${machine}. A share of ${model} was left running, with an ask through the swarm every three seconds ` +
    `(${asks}, of ${tokens} tokens in all, ten turns a conversation), and each second one look of the menu bar and one of an open view ` +
    `(${looks}). ${failures.length === 0 ? "None of them failed." : `${failures.length} of them failed.`} ` +
    `Figures are medians of each ${part} minutes. Memory is what was allocated; a page that n processes share counts 1/n. ` +
    `"End to begin" is the last part to the second; the first one still fills caches.\n\n${table}`;
  await writeSection(join(ROOT, "docs/benchmarks.md"), "## A share that is left running", body);
}

main().catch((error: unknown) => {
  note(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
});
