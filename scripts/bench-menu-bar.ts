import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { cpus, homedir, tmpdir, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { build } from "esbuild";
import { openEngine, openSurroundings } from "../src/lib/context";
import { median, round } from "./bench/figures";

/**
 * What one look of the menu bar costs, as JSON on stdout: `npm run bench:menu-bar`. The module that looks, bundled alone
 * as Raycast's builder bundles, in a fresh worker each time, beside the least that could do it: one GET of node:http to
 * the same path of the same engine. Raycast, too, runs each command in a fresh worker.
 */

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const ROUNDS = 200;

interface Cost {
  /** From the worker's first line until the answer is there, module and all. */
  milliseconds: number;
  heapUsed: number;
}

/** What a worker does with `look` in scope: it is timed from before `look` is loaded. */
const worker = (load: string) => `
const started = performance.now();
const { parentPort, workerData } = require("node:worker_threads");
${load}
look().then(() => {
  const milliseconds = performance.now() - started;
  parentPort.postMessage({ milliseconds, heapUsed: process.memoryUsage().heapUsed });
});`;

const PEEK = worker(`
const { peekStatus } = require(workerData.bundle);
const look = () => peekStatus(workerData.surroundings);`);

const BARE = worker(`
const { get } = require("node:http");
const look = () => new Promise((resolve, reject) => {
  const { socketPath, path } = workerData;
  get({ socketPath, path, agent: false }, (response) => {
    const chunks = [];
    response.on("data", (chunk) => chunks.push(chunk));
    response.on("end", () => resolve(JSON.parse(Buffer.concat(chunks).toString())));
  }).on("error", reject);
});`);

function run(code: string, workerData: object): Promise<Cost> {
  return new Promise((resolve, reject) => {
    const thread = new Worker(code, { eval: true, workerData });
    thread.once("message", resolve);
    thread.once("error", reject);
  });
}

/** The module that looks, and nothing else. */
async function bundlePeek(folder: string): Promise<string> {
  const bundle = join(folder, "peek.cjs");
  await build({
    entryPoints: [join(ROOT, "src/lib/sharing/peek.ts")],
    outfile: bundle,
    ...{ bundle: true, minify: true, platform: "node", format: "cjs", target: "node22" },
  });
  return bundle;
}

async function main(): Promise<void> {
  const context = await openEngine(openSurroundings({ runtimeFiles: ROOT }));
  const { socketPath } = context.endpoint;
  if (!socketPath) throw new Error("The benchmark needs an engine at a local socket.");
  const folder = await mkdtemp(join(tmpdir(), "torbiz-bench-"));
  try {
    const bundle = await bundlePeek(folder);
    const surroundings = {
      env: { TORBIZ_HOME: context.paths.home },
      home: homedir(),
      platform: process.platform,
      host: socketPath,
      runtimeFiles: ROOT,
    };
    const data = { bundle, surroundings, socketPath, path: `/containers/${context.names.container}/json` };
    const peeks: Cost[] = [];
    const bares: Cost[] = [];
    for (let done = -5; done < ROUNDS; done += 1) {
      // In turn, and the first of each pair in turn: what disturbs one disturbs the other.
      const [first, second] = done % 2 === 0 ? [PEEK, BARE] : [BARE, PEEK];
      const costs = new Map([
        [first, await run(first, data)],
        [second, await run(second, data)],
      ]);
      const [peek, bare] = [costs.get(PEEK), costs.get(BARE)];
      // The first ones still fill caches.
      if (done >= 0 && peek && bare) {
        peeks.push(peek);
        bares.push(bare);
      }
    }
    const of = (costs: Cost[]) => ({
      milliseconds: round(median(costs.map(({ milliseconds }) => milliseconds))),
      heapKilobytes: Math.round(median(costs.map(({ heapUsed }) => heapUsed)) / 1_024),
    });
    const [peek, bare] = [of(peeks), of(bares)];
    const report = {
      machine: `${cpus().length} x ${cpus()[0]?.model ?? "?"}, ${Math.round(totalmem() / 1e9)} GB, Docker ${context.facts.version}, Node ${process.versions.node}`,
      rounds: ROUNDS,
      peek: { what: "a fresh worker loads the menu bar's look and asks the engine once", ...peek },
      baseline: { what: "a fresh worker makes one GET of node:http to the same path", ...bare },
      // Of each pair, as what else the machine does changes from one to the next.
      ratio: round(median(peeks.map(({ milliseconds }, index) => milliseconds / (bares[index]?.milliseconds ?? NaN)))),
      limitRatio: 1.2,
      heapRatio: round(peek.heapKilobytes / bare.heapKilobytes),
      bundleBytes: (await stat(bundle)).size,
    };
    process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
    await writeFile(join(ROOT, "docs/menu-bar-benchmark.json"), `${JSON.stringify(report, null, 2)}\n`);
    if (report.ratio > report.limitRatio) process.exitCode = 1;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

await main();
