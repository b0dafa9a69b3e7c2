import { createHash, randomBytes } from "node:crypto";
import { createWriteStream, existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { lstat, mkdir, readdir, rename, rm, stat, symlink, utimes } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, join } from "node:path";
import { finished } from "node:stream/promises";
import { execa } from "execa";
import { TorbizError, toTorbizError } from "../errors";
import type { Paths } from "../paths";
import { acquireLock } from "../process-lock";
import type { OnProgress } from "../progress";
import { freeBytes, noSpace, requireSpace, tellsOfNoSpace } from "./disk-space";
import { DOWNLOAD_SETTINGS, pythonEnv } from "./python-env";
import type { FoundPython } from "./python";

/** A finished virtual environment. */
export interface Environment {
  kind: string;
  /** Absolute path of its folder. */
  folder: string;
  /** Absolute path of its Python. */
  python: string;
  /** Hash of what it was made from, 16 hex digits: the lock files, and the Python where a person chose one. */
  lockHash: string;
}

export interface EnvironmentOptions {
  paths: Pick<Paths, "envs" | "logs">;
  /** What it is for, kebab-case: part of its folder's name. */
  kind: string;
  /** Finds the Python to make it with; called only when it must be made. */
  findPython: () => Promise<FoundPython>;
  /** Requirement files with hashes, installed one after the other: build tools first. */
  locks: readonly string[];
  /** What it takes on the disk, about. */
  bytes: number;
  env?: NodeJS.ProcessEnv;
  home?: string;
  platform?: NodeJS.Platform;
  arch?: NodeJS.Architecture;
  onProgress?: OnProgress;
  signal?: AbortSignal;
}

/** PyTorch's own index: the wheels for Linux on the usual one bring CUDA, 4 GB of it. */
const TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu";
/** What pip may know: where packages come from, and how to reach them. */
export const PIP_SETTINGS = new RegExp(`^PIP_(?!USER$|TARGET$|PREFIX$|ROOT$)\\w+$|${DOWNLOAD_SETTINGS.source}`, "i");
const VENV_LIMIT_MS = 120_000;
/** torch alone is 200 MB: an hour is for slow networks. pip gives up on a silent one by itself. */
const PIP_LIMIT_MS = 3_600_000;
const LAST_LINES = 20;
/** Where less is free when something fails, that is the reason. */
const TIGHT_BYTES = 20e6;
/** After so long without use an environment of older locks goes: another version of Torbiz may still use it. */
const UNUSED_MS = 7 * 24 * 3_600_000;

/**
 * The virtual environment made from these lock files, made now if it isn't there. It appears under its name when it is
 * finished and not before, so a half-made one is never used; one that has lost files or its Python since is made anew.
 * The user's own Python is left as it is. A new one takes the place of those of its kind that nobody has used for a week.
 *
 * @throws TorbizError environment-failed, disk-full, interrupted, and what `findPython` throws
 *
 * @example
 * const { python } = await ensureEnvironment({ paths, kind: "swarm", findPython: () => findPython(...), locks, bytes });
 */
export async function ensureEnvironment(options: EnvironmentOptions): Promise<Environment> {
  const { paths, kind, onProgress, signal } = options;
  const { state, ...ready } = lookAtEnvironment(options);
  const name = basename(ready.folder);
  if (state === "whole") {
    const now = new Date();
    await utimes(ready.folder, now, now).catch(() => undefined); // it is in use
    return ready;
  }
  const python = await options.findPython();
  if (!python.canMakeVenv) {
    throw new TorbizError("environment-failed", `${python.path} can't make virtual environments.`, {
      hint: "On Debian and Ubuntu install its missing part: `apt-get install python3-venv`.",
    });
  }
  const lock = await acquireLock(join(paths.envs, `${name}.lock`), {
    signal,
    onWait: (note) =>
      onProgress?.({ stage: "preparing-python", message: note || "Waiting for another Torbiz", progress: null }),
  });
  try {
    if (isWhole(ready)) return ready; // another Torbiz made it while we waited
    const attempt = `${name}.${randomBytes(4).toString("hex")}`;
    await removeAttempts(paths.envs, ready);
    await requireSpace(paths.envs, describe(options), options.bytes);
    const job = new Making(options, python, join(paths.envs, attempt), (message, progress) => {
      lock.note(message);
      onProgress?.({ stage: "preparing-python", message, progress });
    });
    try {
      await job.make();
      writeFileSync(join(paths.envs, attempt, CONTENT_FILE), String(countContent(join(paths.envs, attempt))), {
        mode: 0o600,
      });
      await appear(paths.envs, name, attempt);
      await removeUnused(paths.envs, kind, name);
    } catch (error) {
      await removeAttempts(paths.envs, ready);
      throw error;
    }
    return ready;
  } catch (error) {
    throw toTorbizError(error);
  } finally {
    lock.release();
  }
}

/** How an environment is: not made yet, whole, or one that has lost a part since it was made. */
export type EnvironmentState = "missing" | "whole" | "damaged";

/** Looks at the environment made from these lock files, and makes nothing. */
export function lookAtEnvironment({
  paths,
  kind,
  ...options
}: Pick<EnvironmentOptions, "kind" | "locks" | "env"> & { paths: Pick<Paths, "envs"> }): Environment & {
  state: EnvironmentState;
} {
  const lockHash = hashOf(options);
  const folder = join(paths.envs, `${kind}-${lockHash}`);
  const environment = { kind, folder, lockHash, python: join(folder, "bin", "python") };
  const isThere = linkTarget(folder) !== undefined;
  return { ...environment, state: isWhole(environment) ? "whole" : isThere ? "damaged" : "missing" };
}

function hashOf({ locks, env = process.env }: Pick<EnvironmentOptions, "locks" | "env">): string {
  // Not the version that is found: finding it costs more than answering from a warm server.
  const hash = createHash("sha256").update(env.TORBIZ_PYTHON ?? "");
  for (const file of locks) hash.update("\0").update(readFileSync(file));
  return hash.digest("hex").slice(0, 16);
}

/** Holds how much was in the environment when it was made. */
const CONTENT_FILE = "torbiz-content";

/**
 * Whether everything is still there, as far as a few milliseconds can tell: its Python is a link to the one that it was
 * made from, which may have been removed since, and a cleaner or a full disk may have taken packages.
 */
function isWhole({ folder, python }: Environment): boolean {
  try {
    return existsSync(python) && countContent(folder) >= Number(readFileSync(join(folder, CONTENT_FILE), "utf8"));
  } catch {
    return false;
  }
}

/** Its packages and what each has at its top; without what Python itself adds when it runs. */
function countContent(folder: string): number {
  const lib = join(folder, "lib");
  const entries = (path: string) =>
    readdirSync(path, { withFileTypes: true }).filter(({ name }) => name !== "__pycache__" && !name.endsWith(".pyc"));
  const packages = readdirSync(lib).map((version) => join(lib, version, "site-packages"));
  return packages
    .flatMap((path) => entries(path).map((entry) => (entry.isDirectory() ? entries(join(path, entry.name)).length : 0)))
    .reduce((sum, inside) => sum + inside + 1, 0);
}

function describe({ kind }: EnvironmentOptions): string {
  return `the Python environment (${kind})`;
}

/** Gives the finished folder its name, in one step: the name is a link that replaces whatever was there. */
async function appear(envs: string, name: string, attempt: string): Promise<void> {
  const link = join(envs, `${attempt}.link`);
  await symlink(attempt, link);
  await rename(link, join(envs, name));
}

/** Removes what unfinished attempts left. A pip that outlived its killed starter then fails in a folder of its own. */
async function removeAttempts(envs: string, ready: Environment): Promise<void> {
  const name = basename(ready.folder);
  const current = isWhole(ready) ? linkTarget(ready.folder) : undefined;
  for (const entry of await readdir(envs)) {
    if (!/^[0-9a-f]{8}(\.link)?$/.test(entry.slice(name.length + 1)) || !entry.startsWith(`${name}.`)) continue;
    if (entry === current) continue;
    await rm(join(envs, entry), { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Removes what belongs to other environments of the kind, made from other locks, and was not used for long. */
async function removeUnused(envs: string, kind: string, current: string): Promise<void> {
  const ours = new RegExp(`^${kind}-[0-9a-f]{16}(\\.|$)`);
  const others = (await readdir(envs)).filter((entry) => ours.test(entry) && !entry.startsWith(current));
  // A name is as old as the folder that it stands for, so all are looked at before any goes.
  const usedAt = await Promise.all(others.map((entry) => lastUse(join(envs, entry))));
  const unused = others.filter((_entry, index) => Date.now() - (usedAt[index] ?? Infinity) > UNUSED_MS);
  for (const entry of unused) await rm(join(envs, entry), { recursive: true, force: true }).catch(() => undefined);
}

async function lastUse(path: string): Promise<number> {
  const facts = await stat(path).catch(() => lstat(path).catch(() => undefined));
  return facts?.mtimeMs ?? Infinity;
}

function linkTarget(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

/** One attempt to make an environment in a folder of its own. */
class Making {
  private total = 0;
  private done = 0;
  private readonly lines: string[] = [];
  private readonly logFile: string;
  private readonly home: string;
  private readonly env: NodeJS.ProcessEnv;

  constructor(
    private readonly options: EnvironmentOptions,
    private readonly base: FoundPython,
    private readonly folder: string,
    private readonly report: (message: string, progress: number | null) => void,
  ) {
    this.logFile = join(options.paths.logs, `environment-${options.kind}.log`);
    this.home = options.home ?? homedir();
    this.env = options.env ?? process.env;
  }

  async make(): Promise<void> {
    const { locks } = this.options;
    this.report("Making a Python environment", 0);
    await mkdir(this.options.paths.logs, { recursive: true, mode: 0o700 });
    writeFileSync(this.logFile, "", { mode: 0o600 });
    await mkdir(this.folder, { mode: 0o700 }); // what Python and pip write into it is as the user's umask says
    await this.run(this.base.path, ["-I", "-m", "venv", this.folder], VENV_LIMIT_MS);
    const requirements = locks.map((file) => parseLock(readFileSync(file, "utf8")));
    this.total = requirements.flat().length;
    for (const entries of requirements) {
      const torch = entries.filter((entry) => this.needsCpuIndex() && entry.name === "torch");
      if (torch.length > 0) await this.installTorch(torch);
      await this.install(
        entries.filter((entry) => !torch.includes(entry)),
        [],
      );
    }
    this.report("The Python environment is ready", 1);
  }

  /** Elsewhere the usual index has wheels without CUDA for the versions that are locked. */
  private needsCpuIndex(): boolean {
    const { platform = process.platform, arch = process.arch } = this.options;
    return platform === "linux" && arch === "x64";
  }

  private async installTorch(torch: readonly Requirement[]): Promise<void> {
    const wheels = this.env.TORBIZ_WHEELS;
    const before = this.done;
    if (wheels || this.env.PIP_FIND_LINKS) {
      try {
        await this.install(torch, ["--no-index"]);
        return;
      } catch (error) {
        const known = toTorbizError(error);
        if (known.code !== "environment-failed") throw known;
        this.done = before; // the folder hasn't got it
      }
    }
    await this.install(torch, ["--index-url", TORCH_CPU_INDEX]);
  }

  private async install(entries: readonly Requirement[], source: readonly string[]): Promise<void> {
    if (entries.length === 0) return;
    const file = join(this.folder, "requirements.txt");
    writeFileSync(file, entries.map((entry) => entry.text).join(""), { mode: 0o600 });
    const wheels = this.env.TORBIZ_WHEELS;
    await this.run(
      join(this.folder, "bin", "python"),
      [
        ...["-I", "-m", "pip", "install", "--no-deps", "--require-hashes", "--no-build-isolation"],
        // Python compiles what it imports when it first does: most modules never are.
        "--no-compile",
        ...["--disable-pip-version-check", "--no-input", "--progress-bar", "off"],
        ...(wheels ? ["--find-links", wheels] : []),
        ...source,
        ...["-r", file],
      ],
      PIP_LIMIT_MS,
      (line) => this.count(line),
    );
  }

  /** pip names each package when it begins with it, and those that other systems need when it leaves them out. */
  private count(line: string): void {
    if (line.startsWith("Ignoring ")) this.total -= 1;
    // "Processing" is what it says of a package that it finds in a folder: the file's name begins with the package's.
    const what = line.replace(/ \(from .*/, "");
    const found =
      /^(?:(?:Collecting|Requirement already satisfied:) ([^\s=<>!~;]+)|Processing (?:.*\/)?([^-/]+)-)/.exec(what);
    const name = found?.[1] ?? found?.[2];
    if (name) {
      this.done += 1;
      // Fetching is counted, and the last twentieth is left for unpacking, of which pip tells nothing.
      this.report(
        `Python package ${this.done} of ${this.total}: ${name}`,
        (0.95 * this.done) / Math.max(this.total, this.done),
      );
    } else if (line.startsWith("Installing collected packages")) {
      this.report("Unpacking Python packages", (0.95 * this.done) / Math.max(this.total, this.done));
    }
  }

  private async run(command: string, args: string[], timeout: number, onLine?: (line: string) => void): Promise<void> {
    const log = createWriteStream(this.logFile, { flags: "a", mode: 0o600 });
    // On a full disk its error would end us, and what fails there tells more.
    log.on("error", () => undefined);
    try {
      const child = execa(command, args, {
        env: pythonEnv(this.env, this.home, PIP_SETTINGS),
        extendEnv: false,
        stdin: "ignore",
        all: true,
        buffer: false,
        reject: false,
        timeout,
        cancelSignal: this.options.signal,
        forceKillAfterDelay: 5_000,
      });
      for await (const line of child.iterable({ from: "all" })) {
        log.write(`${line}\n`);
        this.lines.push(line);
        if (this.lines.length > LAST_LINES) this.lines.shift();
        onLine?.(line);
      }
      const result = await child;
      if (result.isCanceled) throw new TorbizError("interrupted", "Making the Python environment was stopped.");
      if (result.failed) throw await this.failure(basename(command), result.timedOut);
    } finally {
      log.end();
      await finished(log).catch(() => undefined);
    }
  }

  private async failure(command: string, timedOut: boolean): Promise<TorbizError> {
    const details = { log: this.logFile, lines: [...this.lines] };
    const text = this.lines.join("\n");
    // venv keeps to itself why pip couldn't be put into it.
    const isFull = (await freeBytes(this.options.paths.envs)) < TIGHT_BYTES;
    if (isFull || tellsOfNoSpace(text)) {
      return noSpace(describe(this.options), this.options.bytes, details);
    }
    const cause = timedOut
      ? "it took too long"
      : (this.lines.findLast((line) => /^ERROR/.test(line)) ?? this.lines.at(-1));
    return new TorbizError(
      "environment-failed",
      `${command} failed: ${(cause ?? "no reason given").replace(/^ERROR: /, "")}`,
      {
        hint: `Read ${this.logFile}, then try again.`,
        details,
      },
    );
  }
}

interface Requirement {
  /** Lower case. */
  name: string;
  /** As in the file: its first line and its hashes. */
  text: string;
}

/** The packages of a requirements file with hashes; comments before the first are dropped. */
export function parseLock(text: string): Requirement[] {
  const entries: Requirement[] = [];
  for (const line of text.split(/(?<=\n)/)) {
    const name = /^[A-Za-z0-9][A-Za-z0-9._-]*/.exec(line)?.[0];
    const last = entries.at(-1);
    if (name) entries.push({ name: name.toLowerCase(), text: line });
    else if (last) last.text += line;
  }
  return entries;
}
