import type { Surroundings } from "../context";
import { checkDocker } from "../docker/preflight";
import { toTorbizError, type TorbizError } from "../errors";
import type { OnProgress } from "../progress";
import { engineChecks } from "./engine-checks";
import { repairOf, runCheck, type Check, type Finding, type RepairOptions } from "./finding";
import { homeChecks } from "./home-checks";
import { answersTo, type Answer } from "./questions";
import { shareChecks } from "./share-checks";

/** Everything that was looked at, in the order in which it depends on each other. */
export interface Examination {
  /** Nothing is a problem, as far as could be looked: not where nothing could. */
  healthy: boolean;
  findings: Finding[];
  answers: Answer[];
}

export interface ExamineOptions {
  onProgress?: OnProgress;
  signal?: AbortSignal;
  /** All of them unless told otherwise. */
  checks?: readonly Check[];
}

export const CHECKS: readonly Check[] = [...engineChecks, ...shareChecks, ...homeChecks];

/**
 * Looks at everything that Torbiz needs, all at once and each within a time of its own. It repairs nothing, and what
 * can't be looked at is a finding, too.
 *
 * @example
 * const { healthy, findings } = await examine(surroundings);
 */
export async function examine(
  surroundings: Surroundings,
  { onProgress, signal, checks = CHECKS }: ExamineOptions = {},
): Promise<Examination> {
  let done = 0;
  const report = (message: string) =>
    onProgress?.({ stage: "checking", message, progress: done / (checks.length + 1) });
  report("Looking for Docker");
  const docker = await checkDocker(surroundings);
  const findings = await Promise.all(
    checks.map(async (check) => {
      const finding = await runCheck(check, { surroundings, docker }, signal);
      done += 1;
      report(`Looked at: ${check.title}`);
      return finding;
    }),
  );
  const healthy =
    findings.every(({ state }) => state !== "problem") && findings.some(({ state }) => state !== "unknown");
  return { healthy, findings, answers: answersTo(findings) };
}

/** How a repair went. */
export interface Repaired {
  id: string;
  title: string;
  /** Absent where it worked. */
  error?: TorbizError;
}

export interface RepairAllOptions extends RepairOptions, Pick<ExamineOptions, "checks"> {
  /** Hears of each repair as it ends. */
  onRepaired?: (repaired: Repaired) => void;
}

/**
 * Repairs what can be, one after the other; one that fails doesn't keep the others from it. Each is looked at again just
 * before: an earlier repair may have mended it, or it has become something else since it was found.
 */
export async function repairAll(
  surroundings: Surroundings,
  findings: readonly Finding[],
  { onRepaired, checks = CHECKS, ...options }: RepairAllOptions = {},
): Promise<Repaired[]> {
  const all: Repaired[] = [];
  for (const found of findings) {
    const check = repairOf(found) && checks.find(({ id }) => id === found.id);
    if (!check || options.signal?.aborted) continue;
    const docker = await checkDocker(surroundings);
    const repair = repairOf(await runCheck(check, { surroundings, docker }, options.signal));
    if (!repair) continue;
    const repaired: Repaired = { id: check.id, title: repair.title };
    options.onProgress?.({ stage: "repairing", message: repair.title, progress: null });
    try {
      await repair.run(options);
    } catch (error) {
      repaired.error = toTorbizError(error);
    }
    all.push(repaired);
    onRepaired?.(repaired);
  }
  return all;
}
