import { interrupted } from "../lib/docker/docker-error";
import { printable } from "./printable";
import { readLine } from "./terminal";

/**
 * Lets a person choose one of some things by its number on the terminal; Enter takes the first.
 * @throws TorbizError interrupted, also at the end of input (Ctrl-D)
 */
export async function choose<Thing>(
  question: string,
  things: readonly [Thing, ...Thing[]],
  describe: (thing: Thing) => string,
  signal: AbortSignal,
): Promise<Thing> {
  process.stderr.write(`${question}\n`);
  for (const [index, thing] of things.entries()) {
    process.stderr.write(`  ${index + 1}  ${printable(describe(thing))}\n`);
  }
  for (;;) {
    const line = await readLine(`Number [1]: `, signal);
    if (line === undefined) throw interrupted(signal);
    const chosen = things[line === "" ? 0 : Number(line) - 1];
    if (chosen !== undefined) return chosen;
    process.stderr.write(`Type a number from 1 to ${things.length}.\n`);
  }
}
