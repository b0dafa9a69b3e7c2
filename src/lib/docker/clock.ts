import { TorbizError } from "../errors";
import type { Endpoint } from "./endpoint";
import { getJson, patient } from "./http";

/** How an engine's clock stands to this computer's, in seconds. */
export interface ClockSkew {
  /** The engine's less this computer's. */
  seconds: number;
  /** By how much that can be wrong: half of the time that the answer took. */
  uncertainty: number;
}

const INFO_MS = 10_000;

/**
 * Compares the engine's clock with this computer's. After a sleep, that of a virtual machine can be behind.
 * @throws TorbizError docker-unexpected-answer, and all that `getJson` does
 */
export async function engineClockSkew(endpoint: Endpoint): Promise<ClockSkew> {
  const limits = patient(endpoint, { timeoutMs: INFO_MS });
  const asked = Date.now();
  const { SystemTime } = (await getJson(endpoint, "/info", limits)) as { SystemTime?: unknown };
  const answered = Date.now();
  const time = typeof SystemTime === "string" ? Date.parse(SystemTime) : NaN;
  if (Number.isNaN(time)) throw new TorbizError("docker-unexpected-answer", "Docker doesn't tell its time.");
  return { seconds: (time - (asked + answered) / 2) / 1_000, uncertainty: (answered - asked) / 2_000 };
}
