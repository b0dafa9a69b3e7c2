/**
 * A Python program as it is started, so that whatever it writes is this user's alone: from the bytecode of its first import
 * on, which comes before a program could say so itself. Somebody else's in its place would be run. So no program says it
 * again: each that writes into the home folder, here or in a container, is started this way.
 *
 * @example
 * const { file, args } = privately(environment.python, ["-m", "torbiz.starter"]);
 */
export function privately(python: string, args: readonly string[]): { file: string; args: string[] } {
  return { file: "sh", args: ["-c", 'umask 077 && exec "$@"', "sh", python, ...args] };
}
