import { ask, type Answer } from "../lib/ask/old-ask";
import { pythonFor } from "../lib/ask/ask-environments";
import { findPython } from "../lib/ask/python";
import { openEngine, type EngineContext } from "../lib/context";
import { TorbizError } from "../lib/errors";
import type { OnProgress, Progress } from "../lib/progress";
import { ensureBaseImage } from "../lib/setup/base-image";
import { setUpMachine } from "../lib/setup/machine";
import { planSetUp } from "../lib/setup/plan";
import { ensurePythonVenv } from "../lib/setup/python-venv";
import { share, type ShareResult } from "../lib/sharing/share";
import { stopSharing, type StopResult } from "../lib/sharing/stop";
import { confirm } from "./confirm";
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

/**
 * `torbiz quickstart`: the whole chain on this computer. What it starts it also stops, whatever happens; a share that
 * somebody else started is used and left running.
 */
export async function runQuickstart(session: Session, flags: QuickstartFlags): Promise<void> {
  const { output, surroundings, signal } = session;
  if (flags.prompt.trim() === "") throw new TorbizError("prompt-empty", "There is nothing to ask.");
  const clock = stageClock(output.progress);

  const context = await connect(session, flags.setUp, clock.onProgress);
  const { facts } = context;
  output.done(
    "preflight",
    `Docker ${facts.version} runs: ${facts.cpus} processors, ${(facts.memoryBytes / 1e9).toFixed(1)} GB of memory`,
  );

  const shared = await share(context, {
    swarm: { kind: "private" },
    startedBy: "quickstart",
    outdatedImage: "build",
    onProgress: clock.onProgress,
    onNote: output.note,
    signal,
  });
  const ours = shared.startedBy === "quickstart";
  let answer: Answer;
  let stop: StopResult | undefined;
  try {
    output.done("online", `Online: the container serves ${describeBlocks(shared.status)} of ${shared.model.title}`);
    answer = await ask({
      surroundings,
      target: { model: shared.model, initialPeers: shared.status.addresses },
      prompt: flags.prompt,
      onProgress: clock.onProgress,
      onStart: () => output.note(`Asking through the swarm: ${flags.prompt}`),
      onDelta: output.delta,
      signal,
    });
  } finally {
    if (ours) {
      stop = await stopSharing(context, { onProgress: clock.onProgress });
      output.done("stopped", stop.message);
    } else {
      output.note("The share was there before: it goes on. Stop it with `torbiz stop`.");
    }
  }
  const stages = clock.end();
  output.result(
    {
      answer: answer.text,
      tokens: answer.usage.completionTokens,
      tokensPerSecond: answer.tokensPerSecond,
      firstTokenSeconds: answer.firstTokenSeconds,
      model: shared.model.id,
      peerId: shared.status.peerId,
      stages,
      stop: stop ? { announcedOffline: stop.announcedOffline, exitCode: stop.exitCode, seconds: stop.seconds } : null,
    },
    summary(shared, answer, stages),
  );
}

/** An engine that answers and a base image for it; with `setUp` they are brought to this machine where they are missing. */
async function connect(
  { output, surroundings, signal }: Session,
  setUp: boolean,
  onProgress: OnProgress,
): Promise<EngineContext> {
  onProgress({ stage: "preflight", message: "Looking for Docker", progress: null });
  if (!setUp) {
    const context = await openEngine(surroundings);
    await findPython(surroundings, pythonFor("swarm")); // as below
    return context;
  }
  const onChanged = (change: string) => output.done("setting-up", change);
  const machine = { ...surroundings, onProgress, onChanged, signal };
  const plan = await planSetUp(machine);
  if (plan.length > 0) {
    output.note(`To get this computer ready, Torbiz will ${plan.join("; ")}.`);
    if (process.stdin.isTTY && process.stderr.isTTY && !(await confirm("Do that now?", signal))) {
      throw new TorbizError("interrupted", "Nothing was installed or started.", {
        hint: "Do it yourself, or run the same command again and say yes.",
      });
    }
    await setUpMachine(machine);
  }
  // Asking comes last, but what it needs is looked for now: nobody should wait for a build and fail after it.
  const range = pythonFor("swarm");
  await ensurePythonVenv(machine, range, await findPython(surroundings, range));
  const context = await openEngine(surroundings);
  if (!(await context.engine.image(surroundings.names.image))) {
    await ensureBaseImage({ ...machine, endpoint: context.endpoint });
  }
  return context;
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

function summary({ model, status }: ShareResult, answer: Answer, stages: readonly StageTime[]): string {
  const seconds = (some: readonly StageTime[]) => some.reduce((sum, stage) => sum + stage.seconds, 0).toFixed(1);
  const asking = stages.filter(({ name }) => ASK_STAGES.includes(name));
  return [
    "",
    "What ran where",
    `  In Docker          ${model.title}, all ${status.blocks?.total ?? model.blocks} blocks, in a private swarm on this computer`,
    "  In system Python   the swarm's client: it asked the container and streamed the answer",
    `  Answer             ${answer.usage.completionTokens} tokens, first after ${answer.firstTokenSeconds.toFixed(2)} s, then ${answer.tokensPerSecond.toFixed(1)} tokens/s`,
    `  Time               ${seconds(stages)} s in all, ${seconds(asking)} s of it for asking`,
    "",
    "Share for longer with `torbiz share`, ask with `torbiz ask`.",
  ].join("\n");
}

const ASK_STAGES: readonly string[] = ["preparing-python", "connecting-client", "asking"];
