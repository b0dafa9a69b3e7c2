import { basename, extname } from "node:path";
import type { EngineChoice } from "../../lib/ask/engine-choice";
import { LOCAL_MODELS } from "../../lib/ask/local-models";
import { idOfName, knownModels } from "../../lib/hub/known-models";
import type { Paths } from "../../lib/paths";
import { swarmText, type Swarm } from "../../lib/sharing/swarm";

/** What the rows of some models are marked with. */
export const TAGS = { recommended: "Recommended", starter: "For Trying Out" } as const;

const SWARMS: Record<Swarm["kind"], string> = {
  private: "Your Private Swarm",
  public: "Public Petals Network",
  join: "Swarm of Peers",
};

/** The model of a choice for people. */
export function engineTitle(choice: EngineChoice, paths: Pick<Paths, "home">): string {
  switch (choice.kind) {
    case "this":
      return LOCAL_MODELS.find(({ id }) => id === choice.model)?.title ?? basename(choice.model, extname(choice.model));
    case "swarm":
      return choice.model === undefined ? "the Swarm" : swarmModelTitle(choice.model, paths);
    case "server":
      return choice.model ?? hostOf(choice.baseUrl);
  }
}

/** Of an id or a repository. What an invite names may never have been looked up here. */
function swarmModelTitle(model: string, paths: Pick<Paths, "home">): string {
  const id = idOfName(model);
  return knownModels(paths).find((known) => known.id === id)?.title ?? model.slice(model.indexOf("/") + 1);
}

/** Where a choice computes, for people. */
export function engineWhere(choice: EngineChoice): string {
  switch (choice.kind) {
    case "this":
      return "This Computer";
    case "swarm":
      return choice.swarm ? SWARMS[choice.swarm.kind] : "Swarm";
    case "server":
      return choice.baseUrl;
  }
}

/** Who answers and where, as a sentence. */
export function whoAnswers(choice: EngineChoice, paths: Pick<Paths, "home">): string {
  switch (choice.kind) {
    case "this":
      return `${engineTitle(choice, paths)} answers, on this computer.`;
    case "swarm":
      return choice.model ? `${engineTitle(choice, paths)} answers, in the swarm.` : "The swarm answers.";
    case "server":
      return choice.model
        ? `${choice.model} answers, at ${choice.baseUrl}.`
        : `The server at ${choice.baseUrl} answers.`;
  }
}

/** One text for each choice, the same for the same one. */
export function engineKey(choice: EngineChoice): string {
  const where = { this: "", swarm: namedSwarm(choice), server: choice.kind === "server" ? choice.baseUrl : "" };
  return [choice.kind, where[choice.kind], choice.model ?? ""].join(" ");
}

/** The swarm that a choice names; empty where it means the one that is shared in, or was used last. */
export function namedSwarm(choice: EngineChoice): string {
  return choice.kind === "swarm" && choice.swarm && choice.swarm.kind !== "private" ? swarmText(choice.swarm) : "";
}

function hostOf(url: string): string {
  try {
    return new URL(url).host;
  } catch {
    return url;
  }
}
