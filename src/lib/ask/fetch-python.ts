import { createWriteStream } from "node:fs";
import { access, constants, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import { execa } from "execa";
import type { Surroundings } from "../context";
import { toTorbizError, TorbizError } from "../errors";
import { acquireLock } from "../process-lock";
import type { OnProgress } from "../progress";
import { noSpace, requireSpace, tellsOfNoSpace } from "./disk-space";
import { ensureEnvironment } from "./environment";
import { DOWNLOAD_SETTINGS, pythonEnv } from "./python-env";
import { findPython, searchFolders, type FoundPython, type PythonRange, type PythonSurroundings } from "./python";

/** `root`: as `findPython` takes it. */
export type FetchSurroundings = Surroundings & Pick<PythonSurroundings, "root">;

export interface FetchOptions {
  /** Stage preparing-python. */
  onProgress?: OnProgress;
  signal?: AbortSignal;
}

/** Any Python for which uv is made can install it. */
const FOR_UV: PythonRange = { oldest: 8, newest: 19 };
const UV_BYTES = 0.1e9;
const PYTHON_BYTES = 0.2e9;
/** Since it, uv can be told to leave no program elsewhere. */
const OLDEST_UV_MINOR = 8;
/** Where uv's Pythons come from, and how to reach that. Not its other settings: some are secrets. */
const UV_SETTINGS =
  /^UV_(PYTHON_INSTALL_MIRROR|PYTHON_DOWNLOADS_JSON_URL|CONFIG_FILE|HTTP_\w+|NATIVE_TLS|SYSTEM_CERTS|INSECURE_HOST|OFFLINE)$/;
const VERSION_LIMIT_MS = 10_000;
/** 30 MB: half an hour is for slow networks. uv gives up on a silent one by itself. */
const FETCH_LIMIT_MS = 1_800_000;

/** Whether `fetchPython` has something to begin with: uv, or any Python that can install it. */
export async function canFetchPython(surroundings: FetchSurroundings): Promise<boolean> {
  if (await findUv(surroundings)) return true;
  return findPython(surroundings, FOR_UV).then(
    ({ canMakeVenv }) => canMakeVenv,
    () => false,
  );
}

/**
 * Brings the newest Python that will do into Torbiz's home folder, by uv: the one that is installed, else one of our own,
 * hash-locked, from where pip gets its packages. Nothing else of the computer is changed: no PATH, no profile, no `python3`.
 * `findPython` finds it from then on.
 *
 * @throws TorbizError python-missing where there is no Python to begin with; python-fetch-failed, disk-full, interrupted
 */
export async function fetchPython(
  surroundings: FetchSurroundings,
  range: PythonRange,
  { onProgress, signal }: FetchOptions = {},
): Promise<FoundPython> {
  const { paths } = surroundings;
  const report = (message: string) => onProgress?.({ stage: "preparing-python", message, progress: null });
  const lock = await acquireLock(join(paths.run, "fetch-python.lock"), {
    signal,
    onWait: () => report("Waiting for another Torbiz that fetches Python"),
  });
  try {
    const already = await findPython(surroundings, range).catch(() => undefined);
    if (already?.canMakeVenv) return already; // another Torbiz fetched it while we waited
    const uv = (await findUv(surroundings)) ?? (await installUv(surroundings, { onProgress, signal }));
    await mkdir(paths.pythons, { recursive: true, mode: 0o700 });
    // What a uv that was killed left behind.
    await rm(join(paths.pythons, ".temp"), { recursive: true, force: true });
    await requireSpace(paths.pythons, "Python", PYTHON_BYTES);
    const version = `3.${range.newest}`;
    report(`Fetching Python ${version}`);
    await runUv(surroundings, uv, version, report, signal);
    return await findPython(surroundings, range);
  } catch (error) {
    throw toTorbizError(error);
  } finally {
    lock.release();
  }
}

/** The uv of the user. */
async function findUv(surroundings: FetchSurroundings): Promise<string | undefined> {
  const { env, home } = surroundings;
  const folders = [...searchFolders(surroundings), join(home, ".local/bin"), join(home, ".cargo/bin")];
  for (const folder of folders) {
    const path = join(folder, "uv");
    const runs = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (!runs) continue;
    const { failed, stdout } = await execa(path, ["--version"], {
      env: pythonEnv(env, home),
      extendEnv: false,
      stdin: "ignore",
      reject: false,
      timeout: VERSION_LIMIT_MS,
      killSignal: "SIGKILL",
    });
    const [major = 0, minor = 0] = (/^uv (\d+)\.(\d+)/.exec(stdout) ?? []).slice(1).map(Number);
    if (!failed && (major > 0 || minor >= OLDEST_UV_MINOR)) return path;
  }
  return undefined;
}

async function installUv(surroundings: FetchSurroundings, { onProgress, signal }: FetchOptions): Promise<string> {
  const { runtimeFiles } = surroundings;
  const python = await findPython(surroundings, FOR_UV).catch((error: unknown) => {
    throw new TorbizError("python-missing", "There is no Python on this computer to begin with.", {
      hint: "Install Python, and try again.",
      cause: error,
    });
  });
  if (!python.canMakeVenv) {
    throw new TorbizError(
      "python-missing",
      `${python.path} can't make virtual environments, and no other Python fits.`,
    );
  }
  try {
    const { python: program } = await ensureEnvironment({
      ...surroundings,
      kind: "uv",
      findPython: async () => python,
      locks: [join(runtimeFiles, "python", "requirements", "uv.txt")],
      bytes: UV_BYTES,
      onProgress,
      signal,
    });
    return join(program, "..", "uv");
  } catch (error) {
    const known = toTorbizError(error);
    if (known.code !== "environment-failed") throw known;
    throw new TorbizError(
      "python-fetch-failed",
      `The program that fetches Pythons (uv) can't be had: ${known.message}`,
      {
        details: known.details,
        cause: error,
      },
    );
  }
}

async function runUv(
  { env, home, paths }: Surroundings,
  uv: string,
  version: string,
  report: (message: string) => void,
  signal?: AbortSignal,
): Promise<void> {
  const log = join(paths.logs, "fetch-python.log");
  const stream = createWriteStream(log, { mode: 0o600 });
  // On a full disk its error would end us, and what fails there tells more.
  stream.on("error", () => undefined);
  const lines: string[] = [];
  try {
    const child = execa(
      uv,
      ["python", "install", "--reinstall", "--no-bin", "--no-cache", "--color", "never", version],
      {
        // Its settings files are looked for from here on upwards.
        cwd: paths.pythons,
        env: {
          ...pythonEnv(env, home, new RegExp(`${UV_SETTINGS.source}|${DOWNLOAD_SETTINGS.source}`, "i")),
          UV_PYTHON_INSTALL_DIR: paths.pythons,
        },
        extendEnv: false,
        stdin: "ignore",
        all: true,
        buffer: false,
        reject: false,
        timeout: FETCH_LIMIT_MS,
        cancelSignal: signal,
        forceKillAfterDelay: 5_000,
      },
    );
    for await (const line of child.iterable({ from: "all" })) {
      stream.write(`${line}\n`);
      lines.push(line);
      const size = /^Downloading \S+ \((.+)\)$/.exec(line)?.[1];
      if (size) report(`Fetching Python ${version} (${size})`);
    }
    const result = await child;
    if (result.isCanceled) throw new TorbizError("interrupted", "Fetching Python was stopped.");
    if (!result.failed) return;
    if (tellsOfNoSpace(lines.join("\n"))) throw noSpace("Python", PYTHON_BYTES, { log, lines });
    // uv tells the cause of the cause last.
    const cause = lines.map((line) => /^\s*(?:error|cause|caused by): (.+)/i.exec(line)?.[1]).findLast(Boolean);
    const reason = result.timedOut ? "it took too long" : (cause ?? lines.at(-1) ?? "no reason was given");
    throw new TorbizError("python-fetch-failed", `Python ${version} couldn't be fetched: ${reason}`, {
      details: { log, lines },
    });
  } finally {
    stream.end();
    await finished(stream).catch(() => undefined);
  }
}
