import type { Surroundings } from "../context";
import { modelMeant } from "../sharing/swarm-target";
import type { EngineChoice } from "./engine-choice";
import { LOCAL_MODELS, type LocalModel } from "./local-models";
import { cancelPull, isDownloading } from "./model-download";
import { cancelSwarmModel, isSwarmModelDownloading } from "./swarm-model";

/** Whether the model of a choice is being downloaded now, whoever began it. Neither hub nor engine is asked. */
export async function isChoiceDownloading(surroundings: Surroundings, choice: EngineChoice): Promise<boolean> {
  const { paths } = surroundings;
  if (choice.kind === "swarm") {
    return isSwarmModelDownloading(paths, modelMeant(surroundings, choice.swarm, choice.model));
  }
  const model = localModel(choice);
  return model !== undefined && isDownloading(paths, model);
}

/** Ends the download of a choice's model, whoever began it: what has come is kept. Neither hub nor engine is asked. */
export async function cancelChoiceDownload(surroundings: Surroundings, choice: EngineChoice): Promise<void> {
  const { paths } = surroundings;
  if (choice.kind === "swarm") await cancelSwarmModel(paths, modelMeant(surroundings, choice.swarm, choice.model));
  const model = localModel(choice);
  if (model) await cancelPull(paths, model);
}

/** Undefined for a file of the user's own, too: nothing of it is downloaded. */
function localModel(choice: EngineChoice): LocalModel | undefined {
  return choice.kind === "this" ? LOCAL_MODELS.find(({ id }) => id === choice.model) : undefined;
}
