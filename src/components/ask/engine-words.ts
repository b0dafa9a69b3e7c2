import { basename, extname } from "node:path";
import type { EngineChoice } from "../../lib/ask/engine-choice";
import { LOCAL_MODELS } from "../../lib/ask/local-models";
import { MODELS } from "../../lib/models";

/** The model of a choice for people. */
export function engineTitle(choice: EngineChoice): string {
  switch (choice.kind) {
    case "this":
      return LOCAL_MODELS.find(({ id }) => id === choice.model)?.title ?? basename(choice.model, extname(choice.model));
    case "swarm":
      return MODELS.find(({ id }) => id === choice.model)?.title ?? "the Swarm";
    case "server":
      return choice.model ?? hostOf(choice.baseUrl);
  }
}

/** Where a choice computes, for people. */
export function engineWhere(choice: EngineChoice): string {
  return { this: "This Computer", swarm: "Swarm", server: choice.kind === "server" ? choice.baseUrl : "" }[choice.kind];
}

/** Who answers and where, as a sentence. */
export function whoAnswers(choice: EngineChoice): string {
  switch (choice.kind) {
    case "this":
      return `${engineTitle(choice)} answers, on this computer.`;
    case "swarm":
      return choice.model ? `${engineTitle(choice)} answers, in the swarm.` : "The swarm answers.";
    case "server":
      return choice.model
        ? `${choice.model} answers, at ${choice.baseUrl}.`
        : `The server at ${choice.baseUrl} answers.`;
  }
}

/** One text for each choice, the same for the same one. */
export function engineKey(choice: EngineChoice): string {
  return [choice.kind, choice.kind === "server" ? choice.baseUrl : "", choice.model ?? ""].join(" ");
}

function hostOf(url: string): string {
  try {
    return new URL(url).host;
  } catch {
    return url;
  }
}
