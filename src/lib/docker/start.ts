import { setTimeout as sleep } from "node:timers/promises";
import { startDetached } from "../detached";
import { TorbizError, type ProgramStart } from "../errors";
import { searchPath } from "../exec";
import type { DockerSurroundings } from "./endpoint";

/** How long to listen for a failure. Most are told at once; a virtual machine may take minutes until it runs. */
const LISTEN_MS = 10_000;

/**
 * Starts the program that runs a Docker engine, as an error's `action.start` names it. It goes on when we end. Resolves
 * when the program has done its part, or after ten seconds while it still works: `checkDocker` tells when the engine is
 * there.
 *
 * @throws TorbizError docker-not-running when it couldn't be started, with its own words
 * @example
 * const docker = await checkDocker(surroundings);
 * if (docker.state === "not-running" && docker.error.action?.start) await startEngine(docker.error.action.start, surroundings);
 */
export async function startEngine(
  { file, args }: ProgramStart,
  { env, home }: Pick<DockerSurroundings, "env" | "home">,
  listenMs: number = LISTEN_MS,
): Promise<void> {
  // The shell stays until the program has ended, and tells how: nobody's child has nobody to ask.
  const watched = ["-c", '"$@" >&2; echo "exit $?" >&2', "torbiz", file, ...args];
  const program = await startDetached("bash", watched, { ...env, PATH: searchPath(env, home) });
  try {
    for (const limit = performance.now() + listenMs; performance.now() < limit;) {
      const [, words = "", code] = /^(.*?)exit (\d+)\n$/s.exec(program.said()) ?? [];
      if (code === "0") return;
      if (code) throw couldNotStart(file, code, words);
      await sleep(50);
    }
  } finally {
    program.close();
  }
}

function couldNotStart(file: string, code: string, words: string): TorbizError {
  // The shell's own code for it.
  const reason =
    code === "127" ? `there is no ${file} command.` : words.trim().split("\n").at(-1) || `it ended with ${code}.`;
  return new TorbizError("docker-not-running", `Docker couldn't be started: ${reason}`, {
    hint: "Start it yourself, wait until it runs, and try again.",
  });
}
