import { totalmem } from "node:os";
import { ensureAskEnvironment } from "../lib/ask/ask-environments";
import { ensureLocalModel, installedModels, isInstalled, removeModel } from "../lib/ask/local-model-files";
import { LOCAL_MODELS, recommendedModel } from "../lib/ask/local-models";
import { cancelPull, modelFile } from "../lib/ask/model-download";
import { TorbizError, toTorbizError } from "../lib/errors";
import { namedLocalModel } from "./engine-flags";
import { offerPython } from "./offer-python";
import type { Session } from "./session";
import { table } from "./table";

/** `torbiz models list`: what can answer on this computer, and what of it is here. */
export async function runModelsList({ output, surroundings }: Session, memoryBytes = totalmem()): Promise<void> {
  const installed = await installedModels(surroundings.paths);
  const recommended = recommendedModel(memoryBytes).id;
  const models = LOCAL_MODELS.map((model) => {
    const { id, title, bytes, memoryBytes: needs, context, license, note, source } = model;
    return {
      ...{ id, title, bytes, memoryBytes: needs, context, license, note, source },
      path: installed.find((each) => each.model.id === id)?.path ?? null,
      recommended: id === recommended,
      fits: needs <= memoryBytes,
    };
  });
  const rows = models.map(({ id, bytes, memoryBytes: needs, path, license, note, ...model }) => [
    id,
    gigabytes(bytes),
    `needs ${gigabytes(needs)} of memory`,
    path ? "here" : model.recommended ? "recommended" : model.fits ? "" : "too large",
    license ?? "",
    note,
  ]);
  output.result({ models }, table(rows));
}

/** `torbiz models pull`: Ctrl-C ends the download, and the next one goes on from there. */
export async function runModelsPull(session: Session, name: string): Promise<void> {
  const { output, surroundings, signal } = session;
  const model = namedLocalModel(name);
  const pull = async (): Promise<string> => {
    if (await isInstalled(surroundings.paths, model)) return modelFile(surroundings.paths, model);
    const options = { onProgress: output.progress, signal };
    const environment = await ensureAskEnvironment(surroundings, "local", options);
    return ensureLocalModel({ surroundings, model, environment, ...options });
  };
  const path = await pull().catch(async (error: unknown) => {
    const failure = toTorbizError(error);
    if (failure.code === "interrupted") await cancelPull(surroundings.paths, model);
    if (await offerPython(session, failure, "local")) return pull();
    throw failure;
  });
  output.result(
    { model: model.id, path, bytes: model.bytes },
    `${model.title} is here. Ask it with \`torbiz ask --model ${model.id}\`.`,
  );
}

/** `torbiz models remove`: also ends its download, and removes what came of it. */
export async function runModelsRemove({ output, surroundings }: Session, name: string): Promise<void> {
  const model = namedLocalModel(name);
  await cancelPull(surroundings.paths, model);
  if (!(await removeModel(surroundings.paths, model))) {
    throw new TorbizError("model-missing", `${model.title} isn't on this computer.`, {
      hint: "There is nothing to remove.",
      cliHint: "`torbiz models list` tells what is here.",
    });
  }
  output.result({ model: model.id, removed: true }, `Removed ${model.title}.`);
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
