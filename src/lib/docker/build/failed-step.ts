import { readFileSync } from "node:fs";
import { join } from "node:path";
import { MOMENT, planBuild } from "./plan";

/** The instruction that a build stopped at. */
export interface FailedStep {
  /** Counted from 1 through the whole Dockerfile. */
  step: number;
  steps: number;
  /** For people: "Installing PyTorch"; the instruction where it has no such title. */
  title: string;
}

/**
 * Finds in the Dockerfile what the builder named.
 *
 * @param named `details.step` of a failed build: "Step 2/30 : RUN ..." or "[packages 2/12] RUN ..."
 * @param runtimeFiles the folder that holds docker/
 * @returns undefined where it isn't one of the Dockerfile's
 */
export function findFailedStep(named: string, runtimeFiles: string): FailedStep | undefined {
  const plan = planBuild(readFileSync(join(runtimeFiles, "docker", "Dockerfile.macos"), "utf8"));
  const [, number] = /^Step (\d+)\/\d+ : /.exec(named) ?? [];
  const [, stage, place] = /^\[(?:\S+ )?(\S+) +(\d+)\/\d+\] /.exec(named) ?? [];
  const index = number ? Number(number) - 1 : plan.findIndex(({ vertex }) => vertex === `${stage} ${place}`);
  const found = plan[index];
  if (!found) return undefined;
  const { title, instruction } = found;
  // The last two steps are the script's, not the Dockerfile's.
  return { step: index + 1, steps: plan.length - 2, title: title === MOMENT.title ? instruction : title };
}
