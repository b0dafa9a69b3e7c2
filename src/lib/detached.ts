import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { TorbizError } from "./errors";

/** A process that is nobody's child. */
export interface DetachedProcess {
  pid: number;
  /** What it has written to stderr so far. */
  said(): string;
  /** Forgets it; it goes on. */
  close(): void;
}

// -m: a process group of its own, and SIGINT as usual; bash has background commands ignore it otherwise.
const LAUNCH = 'set -m; "$@" </dev/null >/dev/null & echo $!';
// Descriptor 3 is ours: bash doesn't give its own input to what it starts in the background.
const LAUNCH_WITH_INPUT = 'set -m; "$@" <&3 3<&- >/dev/null & echo $!';

/**
 * Starts a program that outlives us, as a child of init or launchd: a long-lived process that started it itself would
 * have to wait for it, and where a launcher ends the thread that would, the dead child stays for ever.
 *
 * @param env the program's whole environment
 * @param input what it reads from stdin, in memory only: a few KB at most, so that it is all there when we are gone
 * @throws TorbizError unexpected when there is no bash to start it with; a missing program is said by `said`
 */
export async function startDetached(
  file: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  input?: string,
): Promise<DetachedProcess> {
  // A file that has no name any more, and not a pipe: we may be gone when the program writes.
  const path = join(tmpdir(), `torbiz-${randomUUID()}`);
  const errors = openSync(path, "wx+", 0o600);
  rmSync(path);
  const launcher = spawn("bash", ["-c", input === undefined ? LAUNCH : LAUNCH_WITH_INPUT, "torbiz", file, ...args], {
    env,
    detached: true,
    stdio: ["ignore", "pipe", errors, input === undefined ? "ignore" : "pipe"],
    timeout: 10_000,
  });
  const stdin = launcher.stdio[3] as Writable | null;
  // An error: the program ended without reading it. Left open, it would keep us waiting for the program's end.
  stdin?.on("error", () => undefined).end(input, () => stdin.destroy());
  // The answer that is missing then tells as much.
  launcher.on("error", () => undefined);
  let pid: number;
  try {
    pid = Number(launcher.stdout && (await text(launcher.stdout)));
    if (!(pid > 1)) throw new Error("no process id");
  } catch (cause) {
    closeSync(errors);
    throw new TorbizError("unexpected", `${file} couldn't be started in the background.`, { cause });
  }
  return {
    pid,
    said() {
      const buffer = Buffer.alloc(fstatSync(errors).size);
      return buffer.toString("utf8", 0, readSync(errors, buffer, 0, buffer.length, 0));
    },
    close: () => closeSync(errors),
  };
}
