import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { execa } from "execa";
import { ensureAskEnvironment } from "../src/lib/ask/ask-environments";
import { openEngine, openSurroundings, type EngineContext, type Surroundings } from "../src/lib/context";
import { findDockerCli } from "../src/lib/docker/cli";
import { runOneOff } from "../src/lib/docker/one-off";
import { toTorbizError, TorbizError } from "../src/lib/errors";
import { failureDetails } from "../src/lib/failure-details";
import { defaultModel } from "../src/lib/models";
import { LABELS } from "../src/lib/names";
import type { OnProgress } from "../src/lib/progress";
import { bootstrapArgs, ensureBaseImage } from "../src/lib/setup/base-image";
import { findDebian, installPackages } from "../src/lib/setup/debian";
import { findCommand, type SetUpSurroundings } from "../src/lib/setup/surroundings";
import { resourceLimits } from "../src/lib/sharing/limits";
import { share } from "../src/lib/sharing/share";
import { stopSharing } from "../src/lib/sharing/stop";
import { removeBelongings } from "../src/lib/uninstall";
import { isEmulated } from "./arm64/binfmt";

/**
 * The image for Apple silicon (linux/arm64), tried on whatever computer this is: `npm run try:arm64`. It is built from the
 * same files and locks, its seeder serves the starter model in a swarm of its own, and Petals' client on this computer
 * compares what comes back with transformers. On Apple silicon all of it runs natively. On Debian as root it prepares
 * qemu's emulation first, and takes a quarter of an hour; Docker Desktop on another Mac brings its own.
 *
 * All that it makes is of an instance of its own, and is removed in the end; `--keep` leaves it for the next run.
 */

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const INSTANCE = "arm64";
const HOME = join(tmpdir(), "torbiz-arm64");
const BASE_IMAGE = "torbiz-base:bookworm-arm64";
const PLATFORM = "linux/arm64";
const BINFMT = "/proc/sys/fs/binfmt_misc";
const EMULATION = ["qemu-user-static", "binfmt-support"];
/** Short: an emulated server takes seconds for each token. */
const TEXT = "The capital of France is";
const TOKENS = 3;
/** In parts of the largest value: float32 rounds by some 3e-6 differently on another processor, and a wrong block is off by all. */
const TOLERANCE = 1e-4;

const stopping = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => stopping.abort(new Error("Stopped.")));

/** What another program says is shown as it comes. */
const SHOWN = { stdout: "inherit", stderr: "inherit", cancelSignal: stopping.signal } as const;

const env = { ...process.env, TORBIZ_HOME: HOME, TORBIZ_INSTANCE: INSTANCE };

interface Comparison {
  difference: number;
  largest: number;
  seconds: number;
}

interface Report {
  client: string;
  block: Comparison;
  logits: Comparison;
  goesOn: string;
  expected: string;
  goesOnSeconds: number;
}

const began = performance.now();
const summary: [what: string, seen: string][] = [];

function note(text: string): void {
  const seconds = Math.round((performance.now() - began) / 1_000);
  process.stdout.write(`[${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}] ${text}\n`);
}

let lastMessage = "";
const onProgress: OnProgress = ({ message }) => {
  if (message !== lastMessage) note(message);
  lastMessage = message;
};

/** Runs one step, and tells how long it took and what it returned. */
async function step(title: string, work: () => Promise<string>): Promise<void> {
  stopping.signal.throwIfAborted();
  note(`${title} ...`);
  const start = performance.now();
  const seen = await work();
  const seconds = Math.round((performance.now() - start) / 1_000);
  summary.push([title, `${seen} (${seconds} s)`]);
  note(`${title}: ${seen}`);
}

/** Lets this system run the other processor's programs, also in containers. */
async function prepareEmulation(machine: SetUpSurroundings): Promise<string> {
  const entry = () => readFile(join(BINFMT, "qemu-aarch64"), "utf8").catch(() => "");
  if (isEmulated(await entry())) return `ready already, ${await emulator()}`;
  const debian = await findDebian(machine);
  if (!debian) {
    if (machine.platform !== "linux") return "Docker's own";
    throw new Error(
      "Emulation can be prepared here only as root on Debian. Or install qemu-user-static and binfmt-support.",
    );
  }
  note(`Installing ${EMULATION.join(" and ")}, which stay: they register emulators for other processors' programs`);
  await installPackages(machine, EMULATION);
  // Without systemd nobody else mounts it.
  if (!(await readFile(join(BINFMT, "status"), "utf8").catch(() => ""))) {
    await execa("mount", ["-t", "binfmt_misc", "none", BINFMT]);
  }
  await execa("update-binfmts", ["--enable", "qemu-aarch64"]);
  if (!isEmulated(await entry()))
    throw new Error(`${BINFMT}/qemu-aarch64 isn't enabled: see \`update-binfmts --display\`.`);
  return emulator();
}

async function emulator(): Promise<string> {
  const { stdout, failed } = await execa("qemu-aarch64-static", ["--version"], { reject: false });
  return failed ? "an emulator of another name" : (stdout.split("\n")[0] ?? "");
}

async function prepareBase(
  context: EngineContext,
  machine: SetUpSurroundings,
  native: boolean,
): Promise<string | undefined> {
  if (native) return ensureBaseImage({ ...context, ...machine });
  if (await context.engine.image(BASE_IMAGE)) return BASE_IMAGE;
  const debian = await findDebian(machine);
  // Docker pulls the usual one for the platform.
  if (!debian) return undefined;
  const tools = ["mmdebstrap", "arch-test"];
  const present = await Promise.all(tools.map((tool) => findCommand(machine, tool)));
  if (present.includes(undefined)) await installPackages(machine, [...tools, "debian-archive-keyring"]);
  const folder = await mkdtemp(join(tmpdir(), "torbiz-arm64-base-"));
  try {
    note("Making Debian's smallest system with Python (mmdebstrap): 5 to 10 minutes");
    const target = { file: join(folder, "base.tar"), architecture: "arm64" };
    // Killed it would leave its children at work; told to stop it waits for them, and clears up.
    const patient = { ...SHOWN, stdin: "ignore", forceKillAfterDelay: false } as const;
    await execa("mmdebstrap", bootstrapArgs(machine, debian, target), patient);
    // `docker import --platform` of Docker 20.10 says that it is of the engine's own processor all the same.
    const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    const lines = ["FROM scratch", "ADD base.tar /", `ENV PATH=${path}`, `LABEL ${LABELS.managed}=1`, ""];
    await writeFile(join(folder, "Dockerfile"), lines.join("\n"));
    const docker = await findDockerCli(context);
    await execa(docker, ["build", "--force-rm", "--platform", PLATFORM, "--tag", BASE_IMAGE, folder], SHOWN);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return BASE_IMAGE;
}

async function build(context: EngineContext, base: string | undefined): Promise<string> {
  const script = join(ROOT, "docker", "build-docker-macos.sh");
  const args = [script, "--platform", PLATFORM, "--tag", context.names.image, ...(base ? ["--base-image", base] : [])];
  const { stdout } = await execa("bash", args, { ...SHOWN, env, stdout: ["pipe", "inherit"] });
  return /^Works without network: .*$/m.exec(stdout)?.[0] ?? "imported before, from the same layers";
}

/** What the image's own programs say of the processor. */
async function machineOf({ engine, names }: EngineContext): Promise<string> {
  const code =
    "import platform, torch; print(platform.machine(), 'Python', platform.python_version(), 'torch', torch.__version__)";
  const { exitCode, lines } = await runOneOff({
    engine,
    names,
    job: "try",
    command: ["python", "-W", "ignore", "-c", code],
    memoryBytes: 2 * 1024 ** 3,
    tmpBytes: 16 * 1024 ** 2,
    limit: {
      ms: 10 * 60_000,
      error: () => new TorbizError("image-check-failed", "Python said nothing for 10 minutes."),
    },
    signal: stopping.signal,
  });
  const said = lines.find((line) => line.startsWith("aarch64 "));
  if (exitCode !== 0 || !said) throw new Error(`The image's Python fails or is of another processor: ${lines.at(-1)}`);
  return said;
}

/**
 * Petals would take many minutes to measure the emulator, whose speed says nothing of the processor's. It finds these figures
 * instead, where it keeps those that it has measured (`get_server_throughput` in petals/server/throughput.py, 2.2.0), by the
 * name that the seeder gives them (`measure_here` in python/torbiz/seeder.py).
 */
async function skipMeasuring({ engine, names, facts, ...context }: EngineContext, torch: string): Promise<string> {
  const figures = { inference_rps: 1, forward_rps: 1, network_rps: 1 };
  const processors = Number((resourceLimits(facts).nanoCpus / 1e9).toPrecision(6));
  const name = `model_/model ${processors} processors torch ${torch}_device_CPU_dtype_float32`;
  const file = JSON.stringify({ [name]: figures });
  await engine.ensureVolume(names.volume, { [LABELS.managed]: "1", [LABELS.instance]: names.instance });
  const docker = await findDockerCli(context);
  const args = ["run", "--rm", "--interactive", "--network", "none", "--volume", `${names.volume}:/cache`];
  const write = ["-c", "mkdir -p /cache/petals && cat > /cache/petals/throughput_v5.json"];
  await execa(docker, [...args, "--entrypoint", "sh", names.image, ...write], { ...SHOWN, input: file });
  return "told instead of measured: an emulator's says nothing";
}

async function compare(usual: Surroundings, context: EngineContext, address: string): Promise<Report> {
  const { python } = await ensureAskEnvironment(usual, "swarm", { onProgress, signal: stopping.signal });
  const folder = join(context.paths.models, defaultModel.id, "petals");
  note("Comparing with transformers on this computer");
  const script = join(ROOT, "python", "tests", "compare_with_transformers.py");
  const args = ["-W", "ignore", script, folder, defaultModel.dhtPrefix, address, TEXT, String(TOKENS)];
  const options = { env: { PYTHONPATH: join(ROOT, "python"), HF_HUB_OFFLINE: "1" }, timeout: 20 * 60_000 } as const;
  const { stdout } = await execa(python, args, { ...SHOWN, ...options, stdout: "pipe" });
  return JSON.parse(stdout) as Report;
}

function requireNear(what: string, { difference, largest, seconds }: Comparison): string {
  const text = `${what} off by at most ${difference.toExponential(1)} of ${largest.toPrecision(3)}, in ${seconds.toFixed(1)} s`;
  if (!(difference <= TOLERANCE * largest)) throw new Error(`Not what transformers computes: ${text}`);
  return text;
}

async function tryIt(): Promise<void> {
  const surroundings = openSurroundings({ runtimeFiles: ROOT, env });
  const context = await openEngine(surroundings);
  const machine: SetUpSurroundings = { ...surroundings, onProgress, onChanged: note, signal: stopping.signal };
  const native = /^(aarch64|arm64)$/.test(context.facts.architecture);
  summary.push([
    "Engine",
    `Docker ${context.facts.version}, ${context.facts.operatingSystem}, ${context.facts.architecture}`,
  ]);
  if (native) note("This engine's processor is arm64: everything runs natively, nothing is emulated.");
  else await step("Emulation", () => prepareEmulation(machine));

  let base: string | undefined;
  await step("Base image", async () => (base = await prepareBase(context, machine, native)) ?? "Docker's own pull");
  await step("Build", () => build(context, base));
  let torch = "";
  await step("Image", async () => {
    const seen = await machineOf(context);
    torch = / torch (\S+)$/.exec(seen)?.[1] ?? "";
    return seen;
  });
  if (!native) await step("Speed", () => skipMeasuring(context, torch));
  let address = "";
  await step("Share", async () => {
    const { status } = await share(context, { onProgress, onNote: note, signal: stopping.signal });
    [address = ""] = status.addresses;
    return `${status.model}, blocks ${JSON.stringify(status.blocks)}, ${status.throughput} tokens/s announced`;
  });
  await step("Ask", async () => {
    const report = await compare(openSurroundings({ runtimeFiles: ROOT }), context, address);
    if (report.goesOn !== report.expected) {
      throw new Error(
        `The swarm goes on with ${JSON.stringify(report.goesOn)}, transformers ${JSON.stringify(report.expected)}.`,
      );
    }
    const near = [requireNear("one block", report.block), requireNear("all blocks' logits", report.logits)];
    const text = `the text goes on as there in ${report.goesOnSeconds.toFixed(1)} s: ${JSON.stringify(report.goesOn)}`;
    return [`client on ${report.client}`, ...near, text].join("; ");
  });
  await step("Stop", async () => (await stopSharing(context, { onProgress })).message);
}

/** What an earlier run or this one left, and nothing else. */
async function cleanUp(): Promise<void> {
  const context = await openEngine(openSurroundings({ runtimeFiles: ROOT, env }));
  const { failed } = await removeBelongings(context, ["container", "image", "volume"], { stop: true, onProgress });
  for (const { part, error } of failed) note(`${part.title} is left: ${error.message}`);
  const docker = await findDockerCli(context);
  const tryDocker = async (...args: string[]) => (await execa(docker, args, { reject: false })).stdout;
  const firstLayer = (id: string) => tryDocker("image", "inspect", "--format", "{{index .RootFS.Layers 0}}", id);
  const base = await firstLayer(BASE_IMAGE);
  if (base) {
    // The classic builder leaves its first stage as an image without a name.
    const nameless = await tryDocker("images", "--quiet", "--no-trunc", "--filter", "dangling=true");
    for (const id of nameless.split("\n").filter(Boolean))
      if ((await firstLayer(id)) === base) await tryDocker("rmi", id);
    await tryDocker("rmi", BASE_IMAGE);
  }
  await rm(HOME, { recursive: true, force: true });
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { keep: { type: "boolean" } } });
  try {
    await tryIt();
  } finally {
    if (values.keep) note(`Kept: the instance ${INSTANCE}, ${BASE_IMAGE} and ${HOME}`);
    else await cleanUp();
    process.stdout.write(`\n${summary.map(([what, seen]) => `${what}: ${seen}`).join("\n")}\n`);
  }
}

main().catch((error: unknown) => {
  note(failureDetails(toTorbizError(error), (text) => text));
  process.exitCode = 1;
});
