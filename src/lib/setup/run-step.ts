import { open } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { TorbizError } from "../errors";
import { prepareHome } from "../paths";
import { type SetUpSurroundings, toolPath } from "./surroundings";

/** How many of a failed command's last lines travel with the error. */
const LAST_LINES = 20;

export interface StepOptions {
  /** Stops a command that hangs. Milliseconds. */
  timeoutMs: number;
  /** Stops a command that has printed nothing at all for so long: it waits for somebody who doesn't answer. Milliseconds. */
  firstOutputMs?: number;
  /** On top of the usual environment. */
  env?: NodeJS.ProcessEnv;
  /** Where it runs; where this process does unless told otherwise. */
  cwd?: string;
}

/** The file that keeps what all set-up commands printed. */
export function setUpLog(surroundings: SetUpSurroundings): string {
  return join(surroundings.paths.logs, "setup.log");
}

/**
 * Environment for set-up commands, some of which stay (dockerd): only what they need, so that no secret of the person
 * who started us (a Hugging Face token, ...) ends up in theirs.
 */
export function stepEnv(surroundings: SetUpSurroundings): NodeJS.ProcessEnv {
  const wanted = /^(HOME|LANG|TMPDIR|SSL_CERT_FILE|SSL_CERT_DIR|DOCKER_CONFIG|(https?|ftp|all|no)_proxy)$/i;
  const kept = Object.entries(surroundings.env).filter(([name]) => wanted.test(name));
  return { ...Object.fromEntries(kept), PATH: toolPath(surroundings) };
}

/**
 * Runs one command to its end and returns what it printed on stdout. All output goes to `logs/setup.log` as well.
 * @throws TorbizError setup-failed with the command, its last line in the message and its last lines in `details.lines`
 */
export async function runStep(
  surroundings: SetUpSurroundings,
  command: string,
  args: readonly string[],
  { timeoutMs, firstOutputMs, env, cwd }: StepOptions,
): Promise<string> {
  prepareHome(surroundings.paths);
  const file = setUpLog(surroundings);
  const log = await open(file, "a", 0o600);
  const shown = [command, ...args].join(" ");
  try {
    await log.appendFile(`$ ${shown}\n`);
    const child = execa(command, args, {
      env: { ...stepEnv(surroundings), ...env },
      extendEnv: false,
      cwd,
      stdin: "ignore",
      all: true,
      reject: false,
      timeout: timeoutMs,
      cancelSignal: surroundings.signal,
    });
    let silent = false;
    const silence = setTimeout(() => {
      silent = true;
      child.kill();
    }, firstOutputMs ?? timeoutMs);
    child.all.once("data", () => clearTimeout(silence));
    const result = await child;
    clearTimeout(silence);
    await log.appendFile(`${result.all}\n`);
    if (result.isCanceled) throw new TorbizError("interrupted", `\`${shown}\` was stopped.`);
    if (!result.failed) return result.stdout;
    const timedOut = result.timedOut || silent;
    const seconds = (silent ? (firstOutputMs ?? timeoutMs) : timeoutMs) / 1000;
    throw stepError(shown, timedOut ? `no answer after ${seconds} s` : result.exitCode, lastLines(result.all), file);
  } finally {
    await log.close();
  }
}

/** The end of a command's output, without empty lines. */
export function lastLines(output: string): string[] {
  return output.split("\n").filter(Boolean).slice(-LAST_LINES);
}

/** The error for a set-up command that failed. `why` is its exit code, or a few words where it has none. */
export function stepError(
  shown: string,
  why: number | string | undefined,
  lines: readonly string[],
  logFile: string,
): TorbizError {
  const reason = typeof why === "number" ? `exit code ${why}` : (why ?? "it couldn't be started");
  const last = lines.at(-1);
  return new TorbizError("setup-failed", `\`${shown}\` failed (${reason})${last ? `: ${last}` : "."}`, {
    hint: `Read ${logFile}, fix the cause and try again.`,
    details: { command: shown, lines },
  });
}
