import { readFileSync } from "node:fs";
import { join } from "node:path";
import { MOMENT, OWN_STEPS, planBuild, vertexOf } from "./plan";

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
  const wanted = vertexOf(named);
  const index = number ? Number(number) - 1 : plan.findIndex(({ vertex }) => wanted && vertex === wanted);
  const found = plan[index];
  if (!found) return undefined;
  const { title, instruction } = found;
  return { step: index + 1, steps: plan.length - OWN_STEPS, title: title === MOMENT.title ? instruction : title };
}
