import { readFileSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { execa } from "execa";
import type { Surroundings } from "../context";
import { toTorbizError, TorbizError } from "../errors";
import { acquireLock } from "../process-lock";
import type { OnProgress } from "../progress";
import { asSentence } from "../web";
import { noSpace, requireSpace, tellsOfNoSpace } from "./disk-space";
import { FetchError, fetchFile } from "./fetch-file";
import { pythonEnv } from "./python-env";
import { findPython, type FoundPython, type PythonRange, type PythonSurroundings } from "./python";

/** `root`: as `findPython` takes it. */
export type FetchSurroundings = Surroundings &
  Pick<PythonSurroundings, "root"> & {
    /** The processor; this process's own unless given. */
    arch?: NodeJS.Architecture;
  };

export interface FetchOptions {
  /** Stage preparing-python. */
  onProgress?: OnProgress;
  signal?: AbortSignal;
}

/** One that is built for this computer. */
interface Build {
  /** Below the releases' address. */
  path: string;
  sha256: string;
  /** Such as "3.11". */
  version: string;
}

/** Pythons that run from any folder: those that uv installs. */
const RELEASES = "https://github.com/astral-sh/python-build-standalone/releases/download";
const TRIPLES: Partial<Record<string, string>> = {
  "darwin arm64": "aarch64-apple-darwin",
  "darwin x64": "x86_64-apple-darwin",
  "linux arm64": "aarch64-unknown-linux-gnu",
  "linux x64": "x86_64-unknown-linux-gnu",
};
/** The archive and what is in it, while both are there. */
const PYTHON_BYTES = 0.2e9;
const UNPACK_LIMIT_MS = 300_000;
/** What is being unpacked: no Python is looked for in it. */
const DRAFT = "draft";

/** Whether `fetchPython` has a Python for this computer. */
export function canFetchPython(surroundings: FetchSurroundings): boolean {
  return buildFor(surroundings) !== undefined;
}

/**
 * Brings the Python that fits every environment into Torbiz's home folder. It needs nothing to begin with, no Python and
 * no uv. Nothing else of the computer is changed: no PATH, no profile, no `python3`. `findPython` finds it from then on.
 * Where uv's Pythons are mirrored (UV_PYTHON_INSTALL_MIRROR) it comes from there.
 *
 * @throws TorbizError python-missing where there is none for this computer; python-fetch-failed, disk-full, interrupted
 */
export async function fetchPython(
  surroundings: FetchSurroundings,
  range: PythonRange,
  { onProgress, signal }: FetchOptions = {},
): Promise<FoundPython> {
  const { paths } = surroundings;
  const build = buildFor(surroundings);
  if (!build) {
    throw new TorbizError("python-missing", "Torbiz knows no Python for this kind of computer.", {
      hint: "Install Python, and try again.",
    });
  }
  const report = (message: string, progress: number | null = null) =>
    onProgress?.({ stage: "preparing-python", message, progress });
  const lock = await acquireLock(join(paths.run, "fetch-python.lock"), {
    signal,
    onWait: () => report("Waiting for another Torbiz that fetches Python"),
  });
  try {
    const already = await findPython(surroundings, range).catch(() => undefined);
    if (already?.canMakeVenv) return already; // another Torbiz fetched it while we waited
    await mkdir(paths.pythons, { recursive: true, mode: 0o700 });
    await requireSpace(paths.pythons, "Python", PYTHON_BYTES);
    await bring(surroundings, build, range, report, signal);
    return await findPython(surroundings, range);
  } catch (error) {
    throw failure(error, build, surroundings.env.UV_PYTHON_INSTALL_MIRROR);
  } finally {
    lock.release();
  }
}

function buildFor({ platform, arch = process.arch, runtimeFiles }: FetchSurroundings): Build | undefined {
  const triple = TRIPLES[`${platform} ${arch}`];
  const lines = readFileSync(join(runtimeFiles, "python", "requirements", "python.sha256"), "utf8").split("\n");
  for (const line of lines) {
    const [, sha256, path, version] = /^([0-9a-f]{64}) {2}(\S+\/cpython-(3\.\d+)\.\S+)$/.exec(line) ?? [];
    if (triple && sha256 && path?.includes(`-${triple}-`) && version) return { path, sha256, version };
  }
  return undefined;
}

async function bring(
  surroundings: FetchSurroundings,
  { path, sha256, version }: Build,
  range: PythonRange,
  report: (message: string, progress?: number | null) => void,
  signal?: AbortSignal,
): Promise<void> {
  const { env, home, paths } = surroundings;
  const archive = join(paths.pythons, basename(path));
  const draft = join(paths.pythons, DRAFT);
  const url = `${env.UV_PYTHON_INSTALL_MIRROR?.replace(/\/+$/, "") || RELEASES}/${path.replaceAll("+", "%2B")}`;
  const onBytes = (done: number, total: number | null) => {
    const size = total === null ? megabytes(done) : `${megabytes(done)} of ${megabytes(total)}`;
    report(`Fetching Python ${version}: ${size} MB`, total === null ? null : done / total);
  };
  report(`Fetching Python ${version}`);
  // What another one that was killed left behind.
  await rm(draft, { recursive: true, force: true });
  try {
    await fetchFile({ url, sha256, out: archive }, { surroundings, onBytes, signal });
    report(`Unpacking Python ${version}`);
    await mkdir(draft, { mode: 0o700 });
    const { failed, isCanceled, stderr } = await execa("tar", ["-xzf", archive, "-C", draft, "--strip-components=1"], {
      env: pythonEnv(env, home),
      extendEnv: false,
      stdin: "ignore",
      reject: false,
      timeout: UNPACK_LIMIT_MS,
      cancelSignal: signal,
    });
    if (isCanceled) throw new TorbizError("interrupted", "Fetching Python was stopped.");
    if (failed && tellsOfNoSpace(stderr)) throw noSpace("Python", PYTHON_BYTES, { lines: stderr.split("\n") });
    if (failed) throw new FetchError(`it can't be unpacked: ${stderr.split("\n").at(-1) || "tar gave no reason"}`);
    const program = join(draft, "bin", `python${version}`);
    await findPython({ ...surroundings, env: { ...env, TORBIZ_PYTHON: program } }, range).catch((error: unknown) => {
      throw new FetchError("it doesn't run on this computer", { cause: error });
    });
    const folder = join(paths.pythons, basename(path).replace(/-install_only.*/, ""));
    await rm(folder, { recursive: true, force: true });
    await rename(draft, folder);
  } finally {
    await rm(draft, { recursive: true, force: true });
    await rm(archive, { force: true });
  }
}

/** @param mirror where it was to come from, if not from where it usually does */
function failure(error: unknown, { version }: Build, mirror: string | undefined): TorbizError {
  const known = toTorbizError(error);
  if (known.code !== "unexpected") return known;
  // What else can fail has its makers' words, which are for programmers.
  const reason = error instanceof FetchError ? `: ${error.message}` : "";
  return new TorbizError("python-fetch-failed", asSentence(`Python ${version} couldn't be fetched${reason}`), {
    ...(mirror && { cliHint: "It is fetched from where UV_PYTHON_INSTALL_MIRROR says." }),
    cause: error,
  });
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}
