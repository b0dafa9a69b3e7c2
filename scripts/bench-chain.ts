import { appendFile, cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { cpus, tmpdir, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { openEngine, openSurroundings } from "../src/lib/context";
import { ensureImage } from "../src/lib/docker/build/image";
import { findDockerCli } from "../src/lib/docker/cli";
import { median, round } from "./bench/figures";

/**
 * What the chain costs, as JSON on stdout: `npm run bench:chain`. Each figure stands beside a baseline of the same run, the
 * bare thing that Torbiz is made around, as machines differ and are shared. Run it on a machine where the quickstart
 * has been run once; it uses an instance of its own for what it builds.
 */

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const RUNS = 3;

interface Quickstart {
  seconds: number;
  tokensPerSecond: number;
  stopSeconds: number;
  stages: { name: string; seconds: number }[];
}

async function timed<T>(work: () => Promise<T>): Promise<{ seconds: number; value: T }> {
  const started = performance.now();
  const value = await work();
  return { seconds: (performance.now() - started) / 1_000, value };
}

/** The whole quickstart as a person runs it again. */
async function quickstart(): Promise<Quickstart> {
  const { seconds, value } = await timed(() => execa(process.execPath, [join(ROOT, "bin/torbiz.mjs"), "--json"]));
  const result = JSON.parse(value.stdout.split("\n").at(-1) ?? "") as {
    tokensPerSecond: number;
    stages: Quickstart["stages"];
    stop: { seconds: number };
  };
  return { seconds, tokensPerSecond: result.tokensPerSecond, stopSeconds: result.stop.seconds, stages: result.stages };
}

/** The container's bare floor: the same image imports what the seeder needs, and ends. */
async function importOnly(docker: string, image: string): Promise<number> {
  const code = "import torbiz.petals_compat, petals.server.server";
  return (
    await timed(() => execa(docker, ["run", "--rm", "--entrypoint", "python", image, "-W", "ignore", "-c", code]))
  ).seconds;
}

/** `docker stop` of a container of the same image that only sleeps. */
async function stopSleeper(docker: string, image: string): Promise<number> {
  const { stdout } = await execa(docker, ["run", "--init", "-d", "--entrypoint", "sleep", image, "600"]);
  const { seconds } = await timed(() => execa(docker, ["stop", stdout.trim()]));
  await execa(docker, ["rm", stdout.trim()]);
  return seconds;
}

/** A rebuild after one changed line in the seeder, against the same build with nothing changed. */
async function rebuild(): Promise<{ seconds: number; unchanged: number }> {
  const folder = await mkdtemp(join(tmpdir(), "torbiz-bench-"));
  try {
    for (const name of ["docker", "python", ".dockerignore"]) {
      await cp(join(ROOT, name), join(folder, name), { recursive: true });
    }
    const env = { ...process.env, TORBIZ_INSTANCE: "bench", TORBIZ_HOME: join(folder, "home") };
    const context = await openEngine(openSurroundings({ runtimeFiles: folder, env }));
    const docker = await findDockerCli(context);
    const build = () => ensureImage({ ...context, cliPath: () => Promise.resolve(docker) });
    const { image } = context.names;
    const buildAgain = () => execa("bash", [join(folder, "docker/build-docker-macos.sh"), "--tag", image], { env });
    await build();
    const seeder = join(folder, "python/torbiz/seeder.py");
    const changed: number[] = [];
    const unchanged: number[] = [];
    for (let run = 0; run < RUNS; run += 1) {
      await appendFile(seeder, `# change ${run}\n`);
      changed.push((await timed(build)).seconds);
      unchanged.push((await timed(buildAgain)).seconds);
    }
    await execa(docker, ["rmi", image]);
    return { seconds: median(changed), unchanged: median(unchanged) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function main(): Promise<void> {
  const context = await openEngine(openSurroundings({ runtimeFiles: ROOT }));
  const docker = await findDockerCli(context);
  const runs: Quickstart[] = [];
  const floors: number[] = [];
  const stops: number[] = [];
  await quickstart(); // the first may still have something to prepare
  for (let run = 0; run < RUNS; run += 1) {
    runs.push(await quickstart());
    floors.push(await importOnly(docker, context.names.image));
    stops.push(await stopSleeper(docker, context.names.image));
  }
  const rebuilt = await rebuild();
  const seconds = median(runs.map((run) => run.seconds));
  const stopSeconds = median(runs.map((run) => run.stopSeconds));
  const report = {
    machine: `${cpus().length} x ${cpus()[0]?.model ?? "?"}, ${Math.round(totalmem() / 1e9)} GB, Docker ${context.facts.version}`,
    runs: RUNS,
    secondQuickstart: {
      seconds: round(seconds),
      limitSeconds: 60,
      baseline: "docker run: the image imports torch and Petals, and ends",
      baselineSeconds: round(median(floors)),
      ratio: round(seconds / median(floors)),
      stages: runs.at(-1)?.stages,
    },
    stopIdle: {
      seconds: round(stopSeconds),
      limitSeconds: 10,
      baseline: "docker stop of a container that sleeps",
      baselineSeconds: round(median(stops)),
      ratio: round(stopSeconds / median(stops)),
    },
    rebuildAfterSeederChange: {
      seconds: round(rebuilt.seconds),
      limitSeconds: 5,
      baseline: "the same build with nothing changed",
      baselineSeconds: round(rebuilt.unchanged),
      ratio: round(rebuilt.seconds / rebuilt.unchanged),
    },
    tokensPerSecond: round(median(runs.map((run) => run.tokensPerSecond))),
    imageBytes: (await context.engine.image(context.names.image))?.sizeBytes,
    imageLimitBytes: 1_500_000_000,
  };
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  await writeFile(join(ROOT, "docs/chain-benchmark.json"), `${JSON.stringify(report, null, 2)}\n`);
}

await main();
