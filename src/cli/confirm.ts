import { readLine } from "./terminal";

/**
 * Asks a yes-or-no question on the terminal. Enter is what `enter` says; the end of input (Ctrl-D) is no.
 * @throws TorbizError interrupted
 */
export async function confirm(question: string, signal: AbortSignal, enter: "yes" | "no" = "yes"): Promise<boolean> {
  const line = await readLine(`${question} ${enter === "yes" ? "[Y/n]" : "[y/N]"} `, signal);
  return line === "" ? enter === "yes" : line !== undefined && /^y(es)?$/i.test(line);
}
