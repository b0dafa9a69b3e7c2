import type { SharingStatus } from "./status";

/** How far a finish is: "1 answer on its way, at most until 14:05". The time of day is this computer's. */
export function finishText({ active, finishBy }: Pick<SharingStatus, "active" | "finishBy">): string {
  if (active === 0) return "no answer is on its way any more";
  const answers = active === 1 ? "1 answer on its way" : `${active} answers on their way`;
  if (finishBy === null) return answers;
  const by = new Date(finishBy).toLocaleTimeString("en-US", { hourCycle: "h23", hour: "2-digit", minute: "2-digit" });
  return `${answers}, at most until ${by}`;
}
