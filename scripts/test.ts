import { existsSync, mkdirSync, symlinkSync } from "node:fs";
import { readFile, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { execa, type Options } from "execa";
import { toTorbizError, TorbizError } from "../src/lib/errors";
import { prepareHome, resolvePaths } from "../src/lib/paths";
import { ensureBaseImage } from "../src/lib/setup/base-image";
import { setUpMachine } from "../src/lib/setup/machine";
import { findDebian, installPackages } from "../src/lib/setup/debian";
import { findCommand, type SetUpSurroundings } from "../src/lib/setup/surroundings";
import { ensureBuildKit } from "./buildkit";
import { ensureDevEnvironment } from "./dev-environment";
import { removeLeftovers } from "./leftovers";
import { EXTENSION_BUILDS, staticChecks, type StaticCheck } from "./static-checks";
import { LANES, SEEDER_TESTS, SUITES, type SuiteName } from "./suites";
import {
  allPassed,
  brokenSuite,
  closingLine,
  countJestReport,
  countJunitReport,
  summaryLines,
  type SuiteResult,
} from "./test-report";

/**
 * All tests from an empty machine: `npm test`. Installs and starts what is missing (as root on Debian), says so, and
 * ends with the line `N passed, N failed` over all suites. `npm test -- --only unit --only python` runs some of them.
 */

/** Those that need the real engine: the built commands in a Raycast of our own, and the command line. */
const WITH_ENGINE = ["host", "faults", "build", "e2e"] as const;
type EngineSuite = (typeof WITH_ENGINE)[number];

/** Limits against hanging: four times and more of what they take side by side on two cores. */
const SUITE_LIMIT_MS: Record<SuiteName, number> = {
  static: 1_200_000,
  unit: 2_400_000,
  python: 4_800_000,
  seeder: 2_400_000,
  host: 4_800_000,
  faults: 2_400_000,
  build: 2_400_000,
  e2e: 4_800_000,
};

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const results = join(root, "test-results");

/** Tests live in homes of their own: whatever this user shares meanwhile isn't touched. */
const testEnv: NodeJS.ProcessEnv = { ...process.env, TORBIZ_HOME: join(results, "home") };

const surroundings: SetUpSurroundings = {
  env: testEnv,
  home: homedir(),
  platform: process.platform,
  paths: resolvePaths(testEnv),
  onProgress: ({ message }) => say(message),
  onChanged: say,
};

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Something that all later suites stand on; made once, its failure told to each. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}

const docker = once(() => setUpMachine(surroundings));
const baseImage = once(async () => {
  const { endpoint } = await docker();
  return ensureBaseImage({ ...surroundings, endpoint, runtimeFiles: root });
});
const buildKit = once(() => ensureBuildKit(join(results, "buildkit"), surroundings));
const pythonBin = once(() => ensureDevEnvironment(root, surroundings));
/** In `dist`: for the checks of it, and for the commands that the host suite opens. */
const extension = once(() => check(EXTENSION_BUILDS));

interface Finished {
  failed: boolean;
  /** Both streams, where they weren't handed through. */
  output: string;
  /** Why it failed, in one line. */
  reason: string;
}

/** Whether several suites print at once. */
let sideBySide = false;

/** What a suite prints, with its name where several do. */
function marked(suite: SuiteName, line: string): string {
  return sideBySide ? `${suite.padEnd(6)} | ${line}` : line;
}

/** Where a suite's program prints. */
function printing(suite: SuiteName): Options {
  if (!sideBySide) return { stdout: "inherit", stderr: "inherit" };
  const mark = function* (line: unknown) {
    yield marked(suite, String(line));
  };
  return { stdout: [mark, "inherit"], stderr: [mark, "inherit"], buffer: false };
}

async function run(command: string, args: readonly string[], options: Options): Promise<Finished> {
  const done = await execa(command, args, { cwd: root, stdin: "ignore", reject: false, ...options });
  const reason = String(done.shortMessage ?? `${command} ended with exit code ${done.exitCode}`);
  return { failed: done.failed, output: String(done.all ?? reason), reason };
}

async function runStatic(): Promise<SuiteResult> {
  const result: SuiteResult = { name: "static", passed: 0, failed: 0, failures: [] };
  const count = ({ failed, output }: Finished, { name }: StaticCheck) => {
    if (failed) result.failures.push({ what: name, why: output });
    result[failed ? "failed" : "passed"] += 1;
  };
  count(await extension(), EXTENSION_BUILDS);
  for (const one of staticChecks(root, await pythonBin(), process.env)) count(await check(one), one);
  return result;
}

async function check({ name, command, args, env }: StaticCheck): Promise<Finished> {
  const started = Date.now();
  const done = await run(command, args, { all: true, env, timeout: SUITE_LIMIT_MS.static });
  say(marked("static", `${done.failed ? "FAIL" : "ok  "} ${name} (${seconds(started)} s)`));
  if (done.failed) say(done.output);
  return done;
}

async function runJest(
  suite: "unit" | EngineSuite,
  env: NodeJS.ProcessEnv,
  ...options: string[]
): Promise<SuiteResult> {
  const report = join(results, `${suite}.json`);
  // Jest itself and not npm's script for it: a limit that ends npm leaves what npm started behind.
  const args = [
    ...[
      "--experimental-vm-modules",
      "--disable-warning=ExperimentalWarning",
      join("node_modules", "jest", "bin", "jest.js"),
    ],
    ...["--selectProjects", suite, ...options, "--json", `--outputFile=${report}`],
  ];
  return runAndCount(suite, process.execPath, args, { env, extendEnv: false }, report, countJestReport);
}

async function runPython(suite: "python" | "seeder", ...chosen: string[]): Promise<SuiteResult> {
  const report = join(results, `${suite}.xml`);
  const python = join(await pythonBin(), "python");
  const args = ["-m", "pytest", `--junitxml=${report}`, ...chosen];
  return runAndCount(suite, python, args, {}, report, countJunitReport);
}

async function runAndCount(
  suite: SuiteName,
  command: string,
  args: readonly string[],
  options: Options,
  report: string,
  count: (name: string, text: string) => SuiteResult,
): Promise<SuiteResult> {
  await rm(report, { force: true });
  const done = await run(command, args, { ...printing(suite), timeout: SUITE_LIMIT_MS[suite], ...options });
  const text = await readFile(report, "utf8").catch(() => undefined);
  if (text === undefined) return brokenSuite(suite, done.failed ? done.reason : `it left no report at ${report}`);
  const counted = count(suite, text);
  if (!done.failed || counted.failed > 0) return counted;
  // All its tests passed and yet it failed: a hook, a leak, a limit.
  return { ...counted, failed: 1, failures: [{ what: done.reason, why: "" }] };
}

/** The compose file is checked with what people have: compose v2, or the older program that Debian still ships. */
async function ensureCompose(): Promise<void> {
  const hasV2 = await run("docker", ["compose", "version"], { all: true }).then(({ failed }) => !failed);
  if (hasV2 || (await findCommand(surroundings, "docker-compose")) || !(await findDebian(surroundings))) return;
  await installPackages(surroundings, ["docker-compose"]);
}

/** Each suite is a Torbiz of its own, with its own container, volume, port and home, so that they don't meet. */
async function runWithEngine(suite: EngineSuite, more: NodeJS.ProcessEnv = {}): Promise<SuiteResult> {
  const ready = await docker();
  if (suite === "e2e") await ensureCompose();
  const TORBIZ_BASE_IMAGE = await baseImage();
  const home = join(results, `${suite}-home`);
  // Both builders are tried, whichever this machine's docker command takes by itself.
  const builder = suite === "build" ? await buildKit() : { DOCKER_BUILDKIT: "0" };
  const env = { ...testEnv, ...builder, ...more, TORBIZ_INSTANCE: suite, TORBIZ_HOME: home, TORBIZ_BASE_IMAGE };
  // Python environments take a minute to make: whoever needs one first makes it for all.
  mkdirSync(home, { recursive: true, mode: 0o700 });
  if (!existsSync(join(home, "envs"))) symlinkSync(surroundings.paths.envs, join(home, "envs"));
  prepareHome(resolvePaths(env));
  await removeLeftovers(ready.endpoint, suite, say);
  try {
    const order = suite === "host" ? [`--testSequencer=${join(root, "test", "by-name.mjs")}`] : [];
    return await runJest(suite, env, "--runInBand", "--testTimeout", "900000", ...order);
  } finally {
    await removeLeftovers(ready.endpoint, suite, say);
  }
}

async function runHost(): Promise<SuiteResult> {
  const built = await extension();
  if (built.failed) return brokenSuite("host", `the extension doesn't build: ${built.reason}`);
  return runWithEngine("host", { HOST_EXTENSION: "dist" });
}

/** Unit tests make their own surroundings: none of the caller's settings may reach them. */
function unitEnv(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("TORBIZ_")));
}

const RUNNERS: Record<SuiteName, () => Promise<SuiteResult>> = {
  static: runStatic,
  unit: async () => {
    await extension(); // some of its tests stage the same assets
    return runJest("unit", unitEnv(), "--testTimeout", "60000");
  },
  python: () => runPython("python", `--ignore=${SEEDER_TESTS}`),
  seeder: () => runPython("seeder", SEEDER_TESTS),
  host: runHost,
  faults: () => runWithEngine("faults"),
  build: () => runWithEngine("build"),
  e2e: () => runWithEngine("e2e"),
};

function seconds(since: number): string {
  return ((Date.now() - since) / 1000).toFixed(1);
}

/** @throws TorbizError usage */
function chosenSuites(): SuiteName[] {
  const { values } = parseArgs({ options: { only: { type: "string", multiple: true } } });
  const unknown = values.only?.find((name) => !SUITES.some((suite) => suite === name));
  if (unknown) throw new TorbizError("usage", `There is no suite "${unknown}": choose of ${SUITES.join(", ")}.`);
  return SUITES.filter((suite) => values.only?.includes(suite) ?? true);
}

async function main(): Promise<void> {
  const suites = chosenSuites();
  prepareHome(surroundings.paths);
  const finished: SuiteResult[] = [];
  const summary: string[] = [];
  // First of all, so that it is told apart; a failure is told by the suites that can't do without.
  if (WITH_ENGINE.some((suite) => suites.includes(suite))) {
    say("=== machine ===");
    await docker().then(
      ({ engine, endpoint }) => say(`Docker Engine ${engine.version} answers at ${endpoint.url}`),
      (error: unknown) => say(toTorbizError(error).message),
    );
  }
  const lanes = LANES.map((lane: readonly SuiteName[]) => lane.filter((suite) => suites.includes(suite))).filter(
    ({ length }) => length > 0,
  );
  sideBySide = lanes.length > 1;
  const runLane = async (lane: readonly SuiteName[]) => {
    for (const suite of lane) {
      say(marked(suite, `=== ${suite} ===`));
      const started = Date.now();
      const result = await RUNNERS[suite]().catch((error: unknown) => {
        const { message, hint } = toTorbizError(error);
        return brokenSuite(suite, `it couldn't start: ${message} ${hint}`);
      });
      finished.push(result);
      summary.push(...summaryLines(result, seconds(started)));
    }
  };
  await Promise.all(lanes.map(runLane));
  say(`\n=== summary ===\n${summary.join("\n")}\n`);
  process.exitCode = allPassed(finished) ? 0 : 1;
  say(closingLine(finished));
}

main().catch((error: unknown) => {
  const { message, hint } = toTorbizError(error);
  say(`${message} ${hint}`);
  say("0 passed, 1 failed");
  process.exitCode = 1;
});
