import { once } from "node:events";
import { createInterface } from "node:readline";
import { interrupted } from "../lib/docker/docker-error";
import { printable } from "./printable";

/**
 * Asks for a line on the terminal.
 * @returns undefined at the end of input (Ctrl-D)
 * @throws TorbizError interrupted
 */
export async function readLine(prompt: string, signal: AbortSignal): Promise<string | undefined> {
  // A title is in some questions, which a model or a stranger may have written.
  const asked = printable(prompt);
  const terminal = createInterface({ input: process.stdin, output: process.stderr, prompt: asked });
  // readline reads the keys by itself: a Ctrl-C there is no signal until it is passed on.
  terminal.once("SIGINT", () => process.kill(process.pid, "SIGINT"));
  try {
    terminal.prompt();
    const events = ["line", "close"].map((event) => once(terminal, event, { signal }));
    const [line] = (await Promise.race(events)) as [string?];
    if (line === undefined) process.stderr.write("\n");
    return line?.trim();
  } catch (error) {
    if (!signal.aborted) throw error;
    process.stderr.write("\n");
    throw interrupted(signal);
  } finally {
    terminal.close();
  }
}
