import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
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

/**
 * Starts a program that outlives us, as a child of init or launchd: a long-lived process that started it itself would
 * have to wait for it, and where a launcher ends the thread that would, the dead child stays for ever.
 *
 * @param env the program's whole environment
 * @throws TorbizError unexpected when there is no bash to start it with; a missing program is said by `said`
 */
export async function startDetached(
  file: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<DetachedProcess> {
  // A file that has no name any more, and not a pipe: we may be gone when the program writes.
  const path = join(tmpdir(), `torbiz-${randomUUID()}`);
  const errors = openSync(path, "wx+", 0o600);
  rmSync(path);
  const launcher = spawn("bash", ["-c", LAUNCH, "torbiz", file, ...args], {
    env,
    detached: true,
    stdio: ["ignore", "pipe", errors],
    timeout: 10_000,
  });
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
