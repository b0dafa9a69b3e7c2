import { connectEngine, type EngineContext, type Surroundings } from "../context";
import type { Preflight } from "../docker/preflight";
import { toTorbizError, type TorbizError } from "../errors";
import { redactFailure } from "../failure-details";
import type { OnProgress } from "../progress";
import { redactor } from "../redact";

/** `unknown`: it couldn't be looked at, for the reason that the detail gives. */
export type FindingState = "ok" | "warning" | "problem" | "unknown";

export interface RepairOptions {
  onProgress?: OnProgress;
  signal?: AbortSignal;
}

/** What Torbiz can do itself about a finding, with nothing asked in between. */
export interface Repair {
  /** As a button says it: "Build Image". */
  title: string;
  /** @throws TorbizError that says why it didn't help */
  run: (options: RepairOptions) => Promise<void>;
}

/** What a look found. */
export interface Verdict {
  state: FindingState;
  /** One sentence or two. */
  detail: string;
  /** What to do about it. */
  hint?: string;
  /** What to type, for those who are in a terminal. */
  cliHint?: string;
  /** There is nothing yet to tell by: it is made, or shown, with its first use. */
  pending?: true;
  repair?: Repair;
}

export interface Finding extends Verdict {
  /** Kebab-case, a contract for people's scripts. */
  id: string;
  title: string;
}

/** What is looked at. */
export interface Examined {
  surroundings: Surroundings;
  docker: Preflight;
}

export interface Check {
  id: string;
  title: string;
  /** How long the look may take, milliseconds. */
  limitMs?: number;
  /** Whatever it throws makes the finding `unknown`. */
  look: (examined: Examined, signal: AbortSignal) => Verdict | Promise<Verdict>;
}

const LIMIT_MS = 20_000;

/** Runs one check within its time. Never throws. */
export async function runCheck(
  { id, title, limitMs = LIMIT_MS, look }: Check,
  examined: Examined,
  signal?: AbortSignal,
): Promise<Finding> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), limitMs);
  const ending = signal ? AbortSignal.any([signal, late.signal]) : late.signal;
  const ended = new Promise<Verdict>((resolve) => {
    const end = () =>
      resolve({
        state: "unknown",
        detail: late.signal.aborted ? `No answer came in ${limitMs / 1_000} s.` : "The look was stopped.",
      });
    if (ending.aborted) end();
    else ending.addEventListener("abort", end, { once: true });
  });
  const looked = (async () => look(examined, ending))().catch((error: unknown): Verdict =>
    unknown(redactFailure(toTorbizError(error), redactor(examined.surroundings))),
  );
  try {
    return { id, title, ...(await Promise.race([looked, ended])) };
  } finally {
    clearTimeout(timer);
  }
}

/** A look that needs the engine. */
export function withEngine(
  look: (context: EngineContext, signal: AbortSignal) => Verdict | Promise<Verdict>,
): Check["look"] {
  return ({ surroundings, docker }, signal) =>
    docker.state === "ready"
      ? look(connectEngine(surroundings, docker), signal)
      : { state: "unknown", detail: "It takes Docker to tell." };
}

/** What helps, where something is amiss. */
export function repairOf({ state, repair }: Verdict): Repair | undefined {
  return state === "problem" || state === "warning" ? repair : undefined;
}

export function problem(error: TorbizError, repair?: Repair): Verdict {
  return { ...wordsOf(error), state: "problem", ...(repair && { repair }) };
}

export function warning(error: TorbizError, repair?: Repair): Verdict {
  return { ...wordsOf(error), state: "warning", ...(repair && { repair }) };
}

function unknown(error: TorbizError): Verdict {
  return { ...wordsOf(error), state: "unknown" };
}

function wordsOf({ message, hint, cliHint }: TorbizError): Pick<Verdict, "detail" | "hint" | "cliHint"> {
  return { detail: message, hint, ...(cliHint && { cliHint }) };
}
