import { once } from "node:events";
import { createInterface } from "node:readline";
import { interrupted } from "../lib/docker/docker-error";

/**
 * Asks a yes-or-no question on the terminal; Enter is yes, and the end of input (Ctrl-D) is no.
 * @throws TorbizError interrupted
 */
export async function confirm(question: string, signal: AbortSignal): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr, prompt: `${question} [Y/n] ` });
  // readline reads the keys by itself: a Ctrl-C there is no signal until it is passed on.
  terminal.once("SIGINT", () => process.kill(process.pid, "SIGINT"));
  try {
    terminal.prompt();
    const events = ["line", "close"].map((event) => once(terminal, event, { signal }));
    const [answer] = (await Promise.race(events)) as [string?];
    if (answer === undefined) process.stderr.write("\n");
    return answer !== undefined && /^(y(es)?)?$/i.test(answer.trim());
  } catch (error) {
    if (!signal.aborted) throw error;
    process.stderr.write("\n");
    throw interrupted(signal);
  } finally {
    terminal.close();
  }
}
