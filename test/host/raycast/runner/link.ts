import type { Answer, Launcher, LauncherCall, Runner, RunnerCall, Told } from "../protocol";

let lastCall = 0;
const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();

function send(message: LauncherCall | Answer | Told): void {
  // Gone is the launcher only while it kills this process.
  if (process.connected) process.send?.(message, undefined, undefined, () => {});
}

export function tell(told: Told): void {
  send(told);
}

type Asked<Name extends keyof Launcher> = Promise<ReturnType<Launcher[Name]>>;

/** Asks the launcher for something that only it can do. */
export function ask<Name extends keyof Launcher>(name: Name, ...args: Parameters<Launcher[Name]>): Asked<Name> {
  const id = ++lastCall;
  const answer = new Promise<unknown>((resolve, reject) => waiting.set(id, { resolve, reject }));
  send({ kind: "call", id, name, args } as LauncherCall);
  return answer as Asked<Name>;
}

/** Serves the launcher's calls until it is gone; then this process and what it started go as well. */
export function serve(runner: { [Name in keyof Runner]: (...args: Parameters<Runner[Name]>) => unknown }): void {
  process.on("message", (message: Answer | RunnerCall) => {
    if (message.kind === "answer") {
      const asked = waiting.get(message.id);
      waiting.delete(message.id);
      if (message.error === undefined) asked?.resolve(message.value);
      else asked?.reject(new Error(message.error));
      return;
    }
    const { id, name, args } = message;
    const answer = async () => (runner[name] as (...args: unknown[]) => unknown)(...args);
    answer().then(
      (value) => send({ kind: "answer", id, value }),
      (error: Error) => send({ kind: "answer", id, error: error.stack ?? String(error) }),
    );
  });
  process.on("disconnect", () => process.kill(-process.pid, "SIGKILL"));
}
