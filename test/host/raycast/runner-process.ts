import { type ChildProcess, spawn } from "node:child_process";
import type { Answer, Launcher, LauncherCall, Runner, Told } from "./protocol";
import { runnerFiles } from "./runner-files";

/** Raycast ends a command whose heap grows beyond it. */
const HEAP_MB = 100;
const KEPT_OUTPUT = 20_000;

export interface Listener {
  launcher: { [Name in keyof Launcher]: (...args: Parameters<Launcher[Name]>) => unknown };
  told(told: Told): void;
  /** The process is gone. `how` says it in words. */
  exited(how: string): void;
}

/** The process of a command, in a group of its own: killing it kills the children that aren't detached. */
export class RunnerProcess {
  readonly exited: Promise<void>;
  /** The end of what it wrote to stdout and stderr. */
  output = "";
  private lastCall = 0;
  private listener?: Listener;
  /** How it ended, once it has. */
  private gone?: string;
  private readonly waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();

  private constructor(private readonly child: ChildProcess) {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.output = (this.output + text).slice(-KEPT_OUTPUT);
      });
    }
    child.on("message", (message: LauncherCall | Answer | Told) => this.receive(message));
    this.exited = new Promise((resolve) => {
      const gone = (how: string) => {
        this.gone = how;
        // What isn't answered never will be, and nobody is left to wait for it.
        for (const { resolve: settle } of this.waiting.values()) settle(undefined);
        this.waiting.clear();
        this.listener?.exited(how);
        resolve();
      };
      child.once("error", (error) => gone(error.message));
      child.once("exit", (code, signal) => gone(signal ? `was ended by ${signal}` : `ended with exit code ${code}`));
    });
  }

  /**
   * @param env the whole environment of the process
   * @param hidden files that neither it nor what it starts can read or run
   */
  static async start(
    env: NodeJS.ProcessEnv,
    hidden: readonly string[],
    { exposeGc = false } = {},
  ): Promise<RunnerProcess> {
    const args = [`--max-old-space-size=${HEAP_MB}`, ...(exposeGc ? ["--expose-gc"] : [])];
    const [program, ...before] = [...without(hidden), process.execPath];
    const child = spawn(program ?? process.execPath, [...before, ...args, ...(await runnerFiles())], {
      cwd: "/",
      env,
      detached: true,
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      serialization: "advanced",
    });
    return new RunnerProcess(child);
  }

  /** Who hears of it from now on; a resident process has one after the other. */
  listen(listener: Listener | undefined): void {
    this.listener = listener;
    if (this.gone) listener?.exited(this.gone);
  }

  get pid(): number | undefined {
    return this.child.pid;
  }

  /** Undefined when the process ended before it answered. */
  call<Name extends keyof Runner>(
    name: Name,
    ...args: Parameters<Runner[Name]>
  ): Promise<ReturnType<Runner[Name]> | undefined> {
    if (this.gone) return Promise.resolve(undefined);
    const id = ++this.lastCall;
    const answer = new Promise<unknown>((resolve, reject) => this.waiting.set(id, { resolve, reject }));
    this.send({ kind: "call", id, name, args });
    return answer as Promise<ReturnType<Runner[Name]> | undefined>;
  }

  /** Ends it and its children at once, as Raycast does; what was started detached lives. */
  async kill(): Promise<void> {
    if (this.child.pid !== undefined && !this.gone) {
      try {
        process.kill(-this.child.pid, "SIGKILL");
      } catch {
        // It ended by itself in this moment.
      }
    }
    await this.exited;
  }

  private send(message: object): void {
    // A process that is about to end takes no more; its end is told by `exited`.
    if (this.child.connected) this.child.send(message, () => {});
  }

  private receive(message: LauncherCall | Answer | Told): void {
    if (message.kind === "answer") {
      const call = this.waiting.get(message.id);
      this.waiting.delete(message.id);
      if (message.error === undefined) call?.resolve(message.value);
      else call?.reject(new Error(message.error));
    } else if (message.kind === "call") void this.serve(message);
    else this.listener?.told(message);
  }

  private async serve({ id, name, args }: LauncherCall): Promise<void> {
    const serve = this.listener?.launcher[name] as ((...args: unknown[]) => unknown) | undefined;
    try {
      this.send({ kind: "answer", id, value: await serve?.(...args) });
    } catch (error) {
      this.send({ kind: "answer", id, error: error instanceof Error ? error.message : String(error) });
    }
  }
}

/** The beginning of a command for which some files are as good as gone, for nobody else: in a file system view of its own. */
function without(files: readonly string[]): string[] {
  if (files.length === 0) return [];
  const script = 'while [ "$1" != -- ]; do mount --bind /dev/null "$1" || exit 1; shift; done; shift; exec "$@"';
  const asRoot = process.getuid?.() === 0 ? [] : ["--map-root-user"];
  return ["/usr/bin/unshare", ...asRoot, "--mount", "/bin/sh", "-c", script, "sh", ...files, "--"];
}
