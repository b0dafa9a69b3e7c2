import { ask, type Answer } from "../lib/ask/ask";
import { ensureAskEnvironment, pythonFor, type AskEnvironmentKind } from "../lib/ask/ask-environments";
import { readAskSettings, rememberAskSettings } from "../lib/ask/ask-settings";
import { describeAnswer } from "../lib/ask/conversations/export-conversation";
import { ConversationStore } from "../lib/ask/conversations/store";
import type { EngineChoice } from "../lib/ask/engine-choice";
import { recommendedModel } from "../lib/ask/local-models";
import { findPython } from "../lib/ask/python";
import { openEngine, type EngineContext } from "../lib/context";
import { interrupted } from "../lib/docker/docker-error";
import { awaitDocker } from "../lib/docker/wait";
import { toTorbizError, TorbizError } from "../lib/errors";
import type { OnProgress, Progress } from "../lib/progress";
import { ensureBaseImage } from "../lib/setup/base-image";
import { canSetUp, setUpMachine } from "../lib/setup/machine";
import { planSetUp } from "../lib/setup/plan";
import { ensurePythonVenv } from "../lib/setup/python-venv";
import type { SetUpSurroundings } from "../lib/setup/surroundings";
import { share, type ShareResult } from "../lib/sharing/share";
import { stopSharing, type StopResult } from "../lib/sharing/stop";
import { confirm } from "./confirm";
import { offerPython } from "./offer-python";
import { describeBlocks } from "./share";
import type { Session } from "./session";

export interface QuickstartFlags {
  prompt: string;
  setUp: boolean;
}

interface StageTime {
  name: string;
  seconds: number;
}

/** The starter: nobody wants a large download unasked. */
const HERE: EngineChoice = { kind: "this", model: recommendedModel(0).id };

/**
 * `torbiz quickstart`: an answer of this computer, then the whole chain of sharing and asking through a swarm. Where no
 * Docker engine can be had, the answer came all the same: that is no failure, and what sharing needs is told. What it starts
 * it also stops, whatever happens; a share that somebody else started is used and left running.
 */
export async function runQuickstart(session: Session, flags: QuickstartFlags): Promise<void> {
  if (flags.prompt.trim() === "") throw new TorbizError("prompt-empty", "There is nothing to ask.");
  const { lastChoice } = readAskSettings(session.surroundings.paths);
  try {
    await new Quickstart(session, flags).run();
  } finally {
    // What was asked last is a swarm that is no more.
    rememberAskSettings(session.surroundings.paths, { lastChoice: lastChoice ?? HERE });
  }
}

class Quickstart {
  private readonly clock: ReturnType<typeof stageClock>;
  private readonly machine: SetUpSurroundings;
  private readonly store: ConversationStore;

  constructor(
    private readonly session: Session,
    private readonly flags: QuickstartFlags,
  ) {
    const { output, surroundings, signal } = session;
    this.clock = stageClock(output.progress);
    this.store = new ConversationStore(surroundings.paths.conversations);
    const onChanged = (change: string) => output.done("setting-up", change);
    this.machine = { ...surroundings, onProgress: this.clock.onProgress, onChanged, signal };
  }

  async run(): Promise<void> {
    const { output } = this.session;
    if (this.flags.setUp) await this.agree();
    await this.prepare("local");
    const here = await this.ask(HERE, "Asking this computer");
    const context = await this.connect();
    if (context instanceof TorbizError) {
      const { code, title, message, hint } = context;
      const stages = this.clock.end();
      output.result(
        { ...figures(here), here: figures(here), sharing: { ok: false, code, title, message, hint }, stages },
        summary(here, context, stages),
      );
      return;
    }
    const { facts } = context;
    output.done(
      "preflight",
      `Docker ${facts.version} runs: ${facts.cpus} processors, ${(facts.memoryBytes / 1e9).toFixed(1)} GB of memory`,
    );
    // Asking comes last, but what it needs is made now: nobody should wait for a build and fail after it.
    await this.prepare("swarm");
    const { shared, answer, stop } = await this.shareAndAsk(context);
    const stages = this.clock.end();
    output.result(
      {
        ...figures(answer),
        here: figures(here),
        sharing: { ok: true },
        peerId: shared.status.peerId,
        stages,
        stop: stop ? { announcedOffline: stop.announcedOffline, exitCode: stop.exitCode, seconds: stop.seconds } : null,
      },
      summary(here, { shared, answer }, stages),
    );
  }

  /** Says what will be set up, and asks where somebody can be asked. */
  private async agree(): Promise<void> {
    const { output, surroundings, signal, interactive } = this.session;
    const plan = await planSetUp({ ...surroundings, ...this.machine });
    if (plan.length === 0) return;
    output.note(`To get this computer ready, Torbiz will ${plan.join("; ")}.`);
    if (interactive && !(await confirm("Do that now?", signal))) {
      throw new TorbizError("interrupted", "Nothing was installed or started.", {
        hint: "Do it yourself, or run the same command again and say yes.",
      });
    }
  }

  private async prepare(kind: AskEnvironmentKind): Promise<void> {
    const { surroundings, signal, interactive } = this.session;
    const { setUp } = this.flags;
    if (setUp) {
      const range = pythonFor(kind);
      const python = await findPython(surroundings, range).catch(() => undefined);
      if (python) await ensurePythonVenv(this.machine, range, python);
    }
    try {
      await ensureAskEnvironment(surroundings, kind, {
        onProgress: this.clock.onProgress,
        signal,
        fetchPython: setUp && !interactive,
      });
    } catch (error) {
      if (!(await offerPython(this.session, toTorbizError(error), kind))) throw error;
    }
  }

  private async ask(choice: EngineChoice, message: string): Promise<Answer> {
    const { output, surroundings, signal } = this.session;
    const { prompt } = this.flags;
    const answer = await ask({
      surroundings,
      conversation: await this.store.create(),
      prompt,
      choice,
      // The same question has the same answer.
      sampling: { temperature: 0 },
      onProgress: this.clock.onProgress,
      onStarted: () => output.note(`${message}: ${prompt}`),
      onDelta: output.delta,
      stop: signal,
    });
    if (signal.aborted) throw interrupted(signal);
    output.done("answered", describeAnswer({ engine: answer.engine, ended: answer }));
    return answer;
  }

  /** An engine that answers and a base image for it, set up where that was agreed to; or why there is none. */
  private async connect(): Promise<EngineContext | TorbizError> {
    const { surroundings } = this.session;
    const { machine } = this;
    machine.onProgress({ stage: "preflight", message: "Looking for Docker", progress: null });
    const docker = await awaitDocker(surroundings, ["starting"], machine);
    if (docker.state !== "ready" && !(this.flags.setUp && (await canSetUp(machine, docker)))) return docker.error;
    if (this.flags.setUp) await setUpMachine(machine);
    const context = await openEngine(surroundings);
    if (this.flags.setUp && !(await context.engine.image(surroundings.names.image))) {
      await ensureBaseImage({ ...surroundings, ...machine, endpoint: context.endpoint });
    }
    return context;
  }

  private async shareAndAsk(
    context: EngineContext,
  ): Promise<{ shared: ShareResult; answer: Answer; stop?: StopResult }> {
    const { output, signal } = this.session;
    const { onProgress } = this.clock;
    const shared = await share(context, {
      swarm: { kind: "private" },
      startedBy: "quickstart",
      outdatedImage: "build",
      onProgress,
      onNote: output.note,
      signal,
    });
    const ours = shared.startedBy === "quickstart";
    let answer: Answer;
    let stop: StopResult | undefined;
    try {
      output.done("online", `Online: the container serves ${describeBlocks(shared.status)} of ${shared.model.title}`);
      answer = await this.ask({ kind: "swarm", swarm: { kind: "private" } }, "Asking through the swarm");
    } finally {
      if (ours) {
        stop = await stopSharing(context, { onProgress });
        output.done("stopped", stop.message);
      } else {
        output.note("The share was there before: it goes on. Stop it with `torbiz stop`.");
      }
    }
    return { shared, answer, stop };
  }
}

/** An answer for scripts. */
function figures({ text, usage, tokensPerSecond, firstTokenSeconds, engine }: Answer): Record<string, unknown> {
  return {
    answer: text,
    tokens: usage.completionTokens,
    tokensPerSecond,
    firstTokenSeconds,
    model: engine.model,
    engine,
  };
}

/** Watches progress go by and adds up how long each stage took. */
function stageClock(onProgress: OnProgress): { onProgress: OnProgress; end: () => StageTime[] } {
  const stages: StageTime[] = [];
  let name: string | undefined;
  let since = performance.now();
  const close = () => {
    const seconds = Math.round((performance.now() - since) / 100) / 10;
    const known = stages.find((stage) => stage.name === name);
    if (known) known.seconds = Math.round((known.seconds + seconds) * 10) / 10;
    else if (name) stages.push({ name, seconds });
    since = performance.now();
  };
  return {
    onProgress: (progress: Progress) => {
      if (progress.stage !== name) {
        close();
        name = progress.stage;
      }
      onProgress(progress);
    },
    end: () => {
      close();
      name = undefined;
      return stages;
    },
  };
}

function summary(
  here: Answer,
  swarm: { shared: ShareResult; answer: Answer } | TorbizError,
  stages: readonly StageTime[],
): string {
  const seconds = (some: readonly StageTime[]) => some.reduce((sum, stage) => sum + stage.seconds, 0).toFixed(1);
  const asking = stages.filter(({ name }) => ASK_STAGES.includes(name));
  return [
    "",
    "What ran where",
    `  In system Python   ${here.engine.title}, whole, by llama.cpp: it answered on this computer alone`,
    `  Answer             ${speed(here)}`,
    ...(swarm instanceof TorbizError ? [] : chain(swarm)),
    `  Time               ${seconds(stages)} s in all, ${seconds(asking)} s of it for asking`,
    "",
    ...(swarm instanceof TorbizError
      ? [
          "Ask more with `torbiz ask`: this computer answers without Docker. Sharing it needs Docker:",
          `  ${swarm.title}. ${swarm.message}`,
          `  ${swarm.hint}`,
        ]
      : ["Share for longer with `torbiz share`, ask with `torbiz ask`."]),
  ].join("\n");
}

function chain({ shared: { model, status }, answer }: { shared: ShareResult; answer: Answer }): string[] {
  return [
    `  In Docker          ${model.title}, all ${status.blocks?.total ?? model.blocks} blocks, in a private swarm on this computer`,
    "  In system Python   the swarm's client: it asked the container and streamed the answer",
    `  Answer             ${speed(answer)}`,
  ];
}

function speed({ usage, firstTokenSeconds, tokensPerSecond }: Answer): string {
  return `${usage.completionTokens} tokens, first after ${firstTokenSeconds.toFixed(2)} s, then ${tokensPerSecond.toFixed(1)} tokens/s`;
}

const ASK_STAGES: readonly string[] = [
  ...["preparing-python", "preparing-model", "starting-server", "waiting", "loading-model", "connecting"],
  ...["reading-prompt", "asking", "recovering"],
];
