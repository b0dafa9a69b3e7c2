import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { cpus, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { ensureAskEnvironment } from "../src/lib/ask/ask-environments";
import { openSurroundings } from "../src/lib/context";
import { median, round } from "./bench/figures";
import { markdownTable, writeSection } from "./bench/section";

/**
 * How reading a swarm's map grows with the swarm: `npm run bench:swarm`. Light peers announce a model's blocks, all on this
 * computer; a client joins and reads who serves what. The baseline of each figure is the smallest swarm of the same run.
 */

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const PREFIX = "bench-hf";
const BLOCKS = 30;
const SIZES = [5, 10, 25, 50];
/** Clients that join at each size. */
const JOINS = 3;
/** Times that each of them reads the map after the first. */
const LOOKS = 3;
const LIMIT_MS = 20 * 60_000;

interface Times {
  join: number[];
  first: number[];
  again: number[];
}

/** `ratio` is to the smallest swarm of the run. */
type Figure = { seconds: number; ratio: number };

interface Growth {
  peers: number;
  join: Figure;
  first: Figure;
  again: Figure;
}

/** A swarm of light peers on this computer, in one process with a p2pd for each peer. */
function lightPeers(python: string, env: NodeJS.ProcessEnv) {
  const child = spawn(python, [join(ROOT, "python/tests/light_peers.py"), PREFIX, String(BLOCKS)], {
    env,
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = new Promise((resolve) => child.once("close", resolve));
  return {
    /** Makes it this large, and returns an address to join by. */
    async growTo(peers: number): Promise<string> {
      child.stdin.write(`${peers}\n`);
      const line = await lines.next();
      if (line.done) throw new Error("the light peers have gone");
      return (JSON.parse(line.value) as { address: string }).address;
    },
    async end(): Promise<void> {
      child.stdin.end();
      await ended;
    },
  };
}

async function measure(python: string): Promise<{ peers: number; times: Times }[]> {
  const env = { ...process.env, PYTHONPATH: join(ROOT, "python"), PYTHONWARNINGS: "ignore" };
  const swarm = lightPeers(python, env);
  const measured = [];
  try {
    for (const peers of SIZES) {
      process.stderr.write(`${peers} peers\n`);
      const address = await swarm.growTo(peers);
      const script = join(ROOT, "python/tests/look_often.py");
      const args = [script, PREFIX, String(BLOCKS), String(peers), address, String(JOINS), String(LOOKS)];
      const { stdout } = await execa(python, args, { env, timeout: LIMIT_MS });
      measured.push({ peers, times: JSON.parse(stdout) as Times });
    }
  } finally {
    await swarm.end();
  }
  return measured;
}

function growth(measured: readonly { peers: number; times: Times }[]): Growth[] {
  const [smallest] = measured;
  return measured.map(({ peers, times }) => {
    const figure = (name: keyof Times): Figure => ({
      seconds: round(median(times[name])),
      ratio: round(median(times[name]) / median(smallest?.times[name] ?? [])),
    });
    return { peers, join: figure("join"), first: figure("first"), again: figure("again") };
  });
}

function describe(sizes: readonly Growth[]): string {
  const cell = ({ seconds, ratio }: Figure) => `${seconds} s: ${ratio} times`;
  const rows = sizes.map(({ peers, join, first, again }) => [String(peers), cell(join), cell(first), cell(again)]);
  const [smallest, largest] = [sizes.at(0), sizes.at(-1)];
  const growsBy = (largest?.peers ?? NaN) / (smallest?.peers ?? NaN);
  return `\`npm run bench:swarm\` wrote this section and [swarm-benchmark.json](swarm-benchmark.json): medians of ${JOINS} clients, each of which
joins, reads the map of ${BLOCKS} blocks, and reads it ${LOOKS} times more. The peers announce four blocks each, as Petals' servers do, and
compute nothing; all of them run on the same computer as the client, so its processors are what they have in common. A ratio
is to the smallest swarm of the run. With ${growsBy} times as many peers, joining takes ${largest?.join.ratio} times as long and reading the map
again ${largest?.again.ratio} times: a block is looked up at the peers nearest to its key, which are all of them up to 20 (hivemind's
bucket), each answer names every server of the block, and then each server is asked whether it is there, at once with the
others. Importing Petals comes before all of it, once.

${markdownTable([["Peers", "Joining", "The map at first", "The map again"], ...rows])}`;
}

const { python } = await ensureAskEnvironment(openSurroundings({ runtimeFiles: ROOT }), "swarm");
const report = {
  machine: `${cpus().length} x ${cpus()[0]?.model ?? "?"}, ${Math.round(totalmem() / 1e9)} GB, ${process.platform}`,
  blocks: BLOCKS,
  clients: JOINS,
  sizes: growth(await measure(python)),
};
process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
await writeFile(join(ROOT, "docs/swarm-benchmark.json"), `${JSON.stringify(report, null, 2)}\n`);
await writeSection(join(ROOT, "docs/benchmarks.md"), "## The swarm", describe(report.sizes));
