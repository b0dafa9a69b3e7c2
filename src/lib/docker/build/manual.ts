import type { EnsureImageOptions } from "./image";
import { engineVariable, scriptArgs, scriptOf } from "./script";

/** The build as one line to paste into a terminal: same image, same engine, and Torbiz follows it as it does its own. */
export function manualBuildCommand(
  options: Pick<EnsureImageOptions, "endpoint" | "runtimeFiles" | "env" | "paths" | "names">,
): string {
  const variables = Object.entries(engineVariable(options.endpoint)).map(([name, value]) => `${name}=${quote(value)}`);
  return [...variables, "bash", ...[scriptOf(options), ...scriptArgs(options)].map(quote)].join(" ");
}

/** For any POSIX shell. */
function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
