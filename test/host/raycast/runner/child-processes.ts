import childProcess from "node:child_process";
import { syncBuiltinESMExports } from "node:module";

/** Counts from now on the processes that are spawned by any function of node:child_process. */
export function countChildProcesses(): () => number {
  let count = 0;
  // All asynchronous functions end in this method.
  const { spawn } = childProcess.ChildProcess.prototype as unknown as { spawn: (...args: unknown[]) => unknown };
  Object.assign(childProcess.ChildProcess.prototype, {
    spawn(this: unknown, ...args: unknown[]) {
      count += 1;
      return spawn.apply(this, args);
    },
  });
  for (const name of ["spawnSync", "execSync", "execFileSync"] as const) {
    const real = childProcess[name] as (...args: unknown[]) => unknown;
    Object.assign(childProcess, {
      [name](...args: unknown[]) {
        count += 1;
        return real(...args);
      },
    });
  }
  syncBuiltinESMExports();
  return () => count;
}
