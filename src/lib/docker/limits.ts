import { setImmediate as immediate } from "node:timers/promises";
import { TorbizError } from "../errors";
import { interrupted, toDockerError } from "./docker-error";
import { describeEndpoint, type Endpoint } from "./endpoint";

/** What can end a call to the engine early. */
export interface Limits {
  timeoutMs: number;
  /** The caller's own wish to end it. */
  signal?: AbortSignal;
  /** For a call that may have to wait for another's work: at each time limit it goes on if the engine is only busy. */
  busy?: {
    isBusy: () => Promise<boolean>;
    /** For so long in all. */
    limitMs: number;
  };
}

/**
 * Runs one call to the engine so that it ends within its limits, even when `work` never settles: docker-modem doesn't
 * once the connection was cut in the middle of an answer, whatever its own signal says.
 *
 * @param work gets a signal that ends the request itself
 * @throws TorbizError docker-not-answering at the time limit, `interrupted` (or what the caller's signal was aborted
 * with), else what `toDockerError` makes of the failure
 */
export async function withLimits<T>(
  endpoint: Endpoint,
  { timeoutMs, signal, busy }: Limits,
  work: (abortSignal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (signal?.aborted) throw interrupted(signal);
  const timeout = new AbortController();
  // Not AbortSignal.timeout: that one doesn't keep the process alive, which would end without a word.
  let timer = setTimeout(onLimit, timeoutMs);
  let waitedMs = timeoutMs;
  let hasEnded = false;
  async function onLimit(): Promise<void> {
    // A process that wasn't let run for a while finds its timers due before it has read the answer that is there.
    await immediate();
    if (hasEnded) return;
    const goesOn = busy !== undefined && waitedMs < busy.limitMs && (await busy.isBusy());
    if (hasEnded) return;
    if (!goesOn) return timeout.abort();
    waitedMs += timeoutMs;
    timer = setTimeout(onLimit, timeoutMs);
  }
  const abortSignal = signal ? AbortSignal.any([timeout.signal, signal]) : timeout.signal;
  const aborted = new Promise<never>((_resolve, reject) => {
    abortSignal.addEventListener("abort", () => reject(new Error("aborted")), { once: true });
  });
  try {
    return await Promise.race([work(abortSignal), aborted]);
  } catch (error) {
    if (signal?.aborted) throw interrupted(signal);
    if (timeout.signal.aborted) {
      const message = `Docker at ${describeEndpoint(endpoint)} gave no answer in ${waitedMs / 1_000} s.`;
      throw new TorbizError("docker-not-answering", message, { cause: error });
    }
    throw toDockerError(error, endpoint);
  } finally {
    hasEnded = true;
    clearTimeout(timer);
  }
}
