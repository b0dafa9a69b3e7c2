import { openEngine, type EngineContext } from "../lib/context";
import { knownModels } from "../lib/hub/known-models";
import { nameModel } from "../lib/hub/resolve-model";
import { SERVED_PRECISION } from "../lib/model-config";
import { defaultModel, repositoryOf, type Model } from "../lib/models";
import { fitOf } from "../lib/sharing/fit";
import { resourceLimits, type LimitRequest, type Limits } from "../lib/sharing/limits";
import { knownSpeed, measureSpeed, outlookOf } from "../lib/sharing/speed";
import { sizeText } from "../lib/units";
import type { Session } from "./session";
import { table } from "./table";

/** `torbiz share --list`: what can be shared, and how much of it fits here. */
export async function runShareList({ output, surroundings }: Session, request?: LimitRequest): Promise<void> {
  const context = await openEngine(surroundings);
  const limits = resourceLimits(context.facts, request);
  const models = knownModels(context.paths);
  output.result(
    { models: models.map((model) => ({ ...factsOf(model), fit: fitOf(model, limits, context.facts) })) },
    table(
      models.map((model) => [
        model.id,
        `${fitOf(model, limits, context.facts).blocks} of ${model.blocks} blocks fit`,
        model.diskBytes === 0 ? "" : sizeText(model.diskBytes),
        model.gated ? `${model.license}, asks for access` : model.license,
        model.note,
      ]),
    ),
  );
}

/** `torbiz share --check`: how much of a model fits here and how fast it is, without starting anything that stays. */
export async function runShareCheck(
  { output, surroundings, signal }: Session,
  { model: name = defaultModel.id, limits: request }: { model?: string; limits?: LimitRequest },
): Promise<void> {
  const context = await openEngine(surroundings);
  const limits = resourceLimits(context.facts, request);
  const token = surroundings.env.HF_TOKEN || undefined;
  const model = await nameModel(surroundings, name, { token, signal });
  const fit = fitOf(model, limits, context.facts);
  const speed = fit.blocks === 0 ? undefined : await speedOf(context, model, limits);
  const outlook = speed && outlookOf(model, fit, speed);
  output.result(
    { model: factsOf(model), fit, speed: speed && outlook ? { ...speed, ...outlook } : null },
    [
      `${model.title}: ${model.note}`,
      `License: ${model.license}${model.gated ? ". Its owner must grant you access" : ""}.`,
      ...(model.diskBytes === 0 ? [] : [`Download for all blocks: ${sizeText(model.diskBytes)}.`]),
      `A block takes ${blockSizes(model)}.`,
      fit.reason,
      ...(outlook ? [outlook.words] : []),
    ].join("\n"),
  );

  /** Nothing is built for it: the image comes with the first share. */
  async function speedOf(engine: EngineContext, wanted: Model, allowed: Limits) {
    const known = await knownSpeed(engine, wanted, allowed);
    if (known) return known;
    if (!(await engine.engine.image(engine.names.image))) {
      output.note("The speed can be measured when the image is built: `torbiz build` does that.");
      return undefined;
    }
    return measureSpeed(engine, wanted, allowed, { onProgress: output.progress, signal });
  }
}

/** "178 MB in memory at float32, and 88 MB in the files at bfloat16" */
function blockSizes({ blockBytes, blockFileBytes, diskBytes, config }: Model): string {
  const inMemory = `${sizeText(blockBytes)} in memory at ${SERVED_PRECISION}`;
  return diskBytes === 0
    ? inMemory
    : `${inMemory}, and ${sizeText(blockFileBytes)} in the files at ${config.torch_dtype}`;
}

/** A model for scripts. */
function factsOf(model: Model) {
  const { id, title, blocks, blockBytes, blockFileBytes, cacheBytes, diskBytes, license, gated, note } = model;
  const repository = repositoryOf(model) ?? null;
  return { id, title, repository, blocks, blockBytes, blockFileBytes, cacheBytes, diskBytes, license, gated, note };
}
