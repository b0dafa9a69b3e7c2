import type { Surroundings } from "../context";
import type { EngineChoice } from "./engine-choice";

/** An engine and a model that can be chosen, and how near it is to an answer. */
export interface EngineInfo {
  choice: EngineChoice;
  title: string;
  /** One line for people who choose. */
  detail: string;
  state: "ready" | "needs-setup" | "needs-download" | "unavailable";
  /** Whether it answers at once: its model is loaded. */
  warm: boolean;
}

/** All that can be asked from this computer, the nearest first. */
export async function listEngines(surroundings: Surroundings): Promise<EngineInfo[]> {
  return Promise.resolve(surroundings ? [] : []);
}
