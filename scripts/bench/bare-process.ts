import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { createInterface } from "node:readline";

/** What a bare engine made of a question. */
export interface BareAnswer {
  firstTokenSeconds: number;
  /** Of the tokens after the first. */
  tokensPerSecond: number;
  tokens: number;
  text: string;
}

export interface BareQuestion {
  messages: { role: string; content: string }[];
  maxTokens: number;
}

/** An engine's own library in a Python process of its own: a line of JSON in, a line of JSON out, no HTTP. */
export class BareProcess {
  private constructor(
    private readonly child: ChildProcessWithoutNullStreams,
    private readonly lines: AsyncIterator<string>,
    /** What it says when it is ready, such as how long it took to load. */
    readonly ready: Record<string, number>,
  ) {}

  /** @param env is added to this process's own */
  static async start(python: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<BareProcess> {
    const child = spawn(python, args, { env: { ...process.env, ...env }, detached: true });
    child.stderr.resume();
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    return new BareProcess(child, lines, (await next(lines)) as Record<string, number>);
  }

  async ask(question: BareQuestion): Promise<BareAnswer> {
    this.child.stdin.write(`${JSON.stringify(question)}\n`);
    return (await next(this.lines)) as BareAnswer;
  }

  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.stdin.end();
    await ended;
    try {
      // hivemind's processes outlive the one that made them, and hold its output open.
      process.kill(-(this.child.pid ?? NaN), "SIGKILL");
    } catch {
      // There were none.
    }
  }
}

async function next(lines: AsyncIterator<string>): Promise<unknown> {
  const { value, done } = await lines.next();
  if (done) throw new Error("The bare engine ended.");
  return JSON.parse(value);
}
