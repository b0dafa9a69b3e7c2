import { fork, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { EngineContext } from "../../../src/lib/context";
import { lockHolder } from "../../../src/lib/process-lock";
import { readStatus } from "../../../src/lib/sharing/status";
import { shareLock } from "../../../src/lib/sharing/stop-request";
import { containersOf, leftBehind } from "../left-behind";
import type { SecondEngine } from "../second-engine";
import { exec, openTestEngine, ROOT } from "../torbiz";
import type { Act, Word } from "./actor";

/**
 * A random walk over all that can be done to a share, from several processes at once: rounds of commands, some of them
 * killed, and of harm to the container and the engine. After the harm is over each round ends with one more command. Then
 * all of them have to end, in time and with reasons that Torbiz knows by name; the last one has to have its way; and
 * nothing else may be left. The seed decides on everything but time.
 */

export interface WalkOptions {
  seed: number;
  /** Commands and harm together. */
  steps: number;
  /** Where and as what the commands run: the engine, the home folder with a model, the instance with an image. */
  env: NodeJS.ProcessEnv;
  /** An engine that may be killed and frozen; without it the engine is left in peace. */
  engine?: SecondEngine;
  onStep?: (line: string) => void;
}

/** A stop may take 30 s and a start waits for it; a slow machine needs longer. */
const ROUND_MS = 180_000;
const ONLINE_MS = 60_000;
/** Between two steps, in milliseconds. */
const GAPS = [0, 20, 100, 400, 1_500, 4_000];
const COMMANDS: Act[] = ["share", "share", "share", "stop", "stop", "stop --now", "finish", "status"];
const LAST: Act[] = ["share", "share", "stop", "finish"];

type Harm = "kill a command" | "kill the seeder" | "pause the container" | "kill the engine" | "freeze the engine";

export async function walk({ seed, steps, env, engine, onStep = () => undefined }: WalkOptions): Promise<void> {
  const random = randomOf(seed);
  const again = walkCommand({ seed, steps, isReal: !engine });
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T;
  const context = await openTestEngine(env);
  const stage = new Stage(context, env, engine, onStep);
  const harms: Harm[] = ["kill a command", "kill a command", "kill the seeder", "pause the container"];
  if (engine) harms.push("kill the engine", "freeze the engine");
  try {
    for (let step = 0; step < steps;) {
      const round = Math.min(Math.floor(random() * 6), steps - step - 1);
      for (const end = step + round; step < end; step += 1) {
        if (random() < 0.3) await stage.harm(pick(harms));
        else await stage.begin(pick(COMMANDS));
        await sleep(pick(GAPS));
      }
      step += 1;
      await stage.heal();
      await stage.settle(pick(LAST));
      onStep(`${step} of ${steps} steps`);
    }
    await stage.settle("stop");
    await stage.close();
    const left = await leftBehind(context);
    if (left.length > 0) throw new Error(`there is left ${left.join(", ")}`);
  } catch (error) {
    const { message } = error as Error;
    throw new Error(`A walk came to a bad end: ${message}\nAgain: ${again}\n${stage.story()}`, { cause: error });
  } finally {
    await stage.close();
  }
}

/** The command that goes the same way again: more steps, or an engine that may be harmed, make another one of the same seed. */
export function walkCommand({ seed, steps, isReal }: { seed: number; steps: number; isReal: boolean }): string {
  return `npm run walk -- --steps ${steps} --seed ${seed}${isReal ? " --real" : ""}`;
}

/** Numbers from 0 to 1, the same ones for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

class Stage {
  private readonly started = performance.now();
  private readonly lines: string[] = [];
  private actors: Actor[] = [];
  private running: Command[] = [];
  private peer?: string;
  private next = 1;

  constructor(
    private readonly context: EngineContext,
    private readonly env: NodeJS.ProcessEnv,
    private readonly engine: SecondEngine | undefined,
    private readonly onStep: (line: string) => void,
  ) {}

  /** Resolves when the command's wish is on record, or when it has ended before. */
  async begin(act: Act): Promise<Command> {
    let actor = this.actors.find(({ busy }) => !busy);
    if (!actor) {
      actor = new Actor(this.env);
      this.actors.push(actor);
    }
    const number = this.next++;
    this.note(`${number}: ${act}`);
    const command = actor.do(act);
    this.running.push(command);
    void command.ended.then(({ code, said }) => this.note(`${number}: ${code ? `[${code}] ` : ""}${said}`));
    await command.begun;
    return command;
  }

  async harm(harm: Harm): Promise<void> {
    const { engine } = this.context;
    const { container } = this.context.names;
    this.note(harm);
    switch (harm) {
      case "kill a command":
        return this.killBusy();
      case "kill the seeder":
        return engine.kill(container, "SIGKILL");
      case "pause the container":
        return void (await this.byHand("pause", container));
      case "freeze the engine":
        this.engine?.freeze();
        await sleep(2_000);
        return this.engine?.thaw();
      case "kill the engine":
        await this.engine?.kill();
        this.engine?.start();
        return this.engine?.ready();
    }
  }

  /** What a person puts right before going on. */
  async heal(): Promise<void> {
    await this.byHand("unpause", this.context.names.container);
  }

  /** One more command, with which the round ends. @throws Error when anything is not as it was wanted last */
  async settle(act: Act): Promise<void> {
    const last = await this.begin(act);
    const limit = new AbortController();
    const late = sleep(ROUND_MS, "late" as const, { signal: limit.signal }).catch(() => "late" as const);
    const ends = await Promise.race([Promise.all(this.running.map(({ ended }) => ended)), late]);
    limit.abort();
    if (ends === "late") throw new Error("a command didn't end in time");
    this.running = [];
    for (const { code, said } of ends) if (code === "unexpected" || code === "died") throw new Error(said);
    const { code, said } = await last.ended;
    if (code) throw new Error(`"${act}" was wanted last and failed: [${code}] ${said}`);
    await (act === "share" ? this.mustBeShared() : this.mustBeGone());
    if (lockHolder(shareLock(this.context)) !== undefined) throw new Error("somebody still holds the lock");
  }

  story(): string {
    return this.lines.slice(-60).join("\n");
  }

  async close(): Promise<void> {
    for (const actor of this.actors) actor.kill();
    await Promise.all(this.actors.map(({ gone }) => gone));
  }

  private killBusy(): void {
    const index = this.actors.findIndex(({ busy }) => busy);
    if (index >= 0) this.actors.splice(index, 1)[0]?.kill();
  }

  private async mustBeShared(): Promise<void> {
    const { engine, names } = this.context;
    // The engine looks at the report every 5 s.
    for (const end = performance.now() + ONLINE_MS; ; await sleep(200)) {
      const containers = await containersOf(this.context);
      const { state, peerId } = readStatus(await engine.inspect(names.container));
      if (containers.length === 1 && state === "online" && peerId) {
        if (this.peer !== undefined && this.peer !== peerId) throw new Error("it is another peer than before");
        this.peer = peerId;
        return;
      }
      if (performance.now() > end) throw new Error(`it should be shared, and is ${state}: ${containers.join(", ")}`);
    }
  }

  private async mustBeGone(): Promise<void> {
    const containers = await containersOf(this.context);
    if (containers.length > 0) throw new Error(`nothing should be left, and there is ${containers.join(", ")}`);
  }

  /** What the docker command refuses is no matter here. */
  private async byHand(...args: string[]): Promise<void> {
    const { url } = this.context.endpoint;
    await exec("docker", ["--host", url, ...args], { timeout: 30_000 }).catch(() => undefined);
  }

  private note(line: string): void {
    const text = `${((performance.now() - this.started) / 1000).toFixed(2).padStart(8)} ${line}`;
    this.lines.push(text);
    this.onStep(text);
  }
}

type End = Extract<Word, { said: string }>;

interface Command {
  begun: Promise<void>;
  ended: Promise<End>;
}

/** A process that stays for many commands: starting one for each would take longer than the command. */
class Actor {
  busy = false;
  readonly gone: Promise<void>;
  private readonly child: ChildProcess;
  private killed = false;

  constructor(env: NodeJS.ProcessEnv) {
    this.child = fork(join(import.meta.dirname, "actor.ts"), {
      cwd: ROOT,
      env: { ...process.env, NODE_OPTIONS: "", ...env },
      execArgv: ["--import", "tsx"],
    });
    this.gone = new Promise((resolve) => this.child.once("exit", () => resolve()));
  }

  do(act: Act): Command {
    this.busy = true;
    let onBegun = () => {};
    const begun = new Promise<void>((resolve) => (onBegun = resolve));
    const ended = new Promise<End>((resolve) => {
      const end = (how: End) => {
        this.child.off("message", onWord);
        this.child.off("exit", onExit);
        onBegun();
        resolve(how);
      };
      const onWord = (word: Word) => {
        if ("begun" in word) return onBegun();
        this.busy = false;
        end(word);
      };
      const onExit = () => end(this.killed ? { code: "killed", said: "" } : { code: "died", said: `${act} died` });
      this.child.on("message", onWord);
      this.child.once("exit", onExit);
    });
    this.child.send(act);
    return { begun, ended };
  }

  /** As by kill -9. */
  kill(): void {
    this.killed = true;
    this.child.kill("SIGKILL");
  }
}
