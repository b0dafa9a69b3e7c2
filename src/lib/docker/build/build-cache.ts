import type { CacheEntry } from "../engine";
import { planBuild, vertexOf } from "./plan";

/**
 * Which entries are of builds by this Dockerfile: those of its instructions, and what stands on them. Of a base image, and of
 * files on their way into a build, nothing tells whose they are.
 */
export function entriesOf(dockerfile: string, entries: readonly CacheEntry[]): CacheEntry[] {
  const plan = planBuild(dockerfile);
  const made = ({ description }: CacheEntry): boolean => {
    const words = description.replaceAll(/\s+/g, " ");
    const vertex = vertexOf(words);
    const instruction = words.replace(/^\[[^\]]*\] /, "").replace(/^mount \/ from exec \/bin\/sh -c /, "RUN ");
    return plan.some(
      (step) =>
        /^(?:RUN|COPY|WORKDIR) /.test(step.instruction) &&
        step.instruction === instruction &&
        (vertex === undefined || vertex === step.vertex),
    );
  };
  const ours = new Set(entries.filter(made).map(({ id }) => id));
  for (let before = -1; before < ours.size;) {
    before = ours.size;
    for (const { id, parents } of entries) if (parents.some((parent) => ours.has(parent))) ours.add(id);
  }
  return entries.filter(({ id }) => ours.has(id));
}
