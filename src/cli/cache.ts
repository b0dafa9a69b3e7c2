import { openEngine } from "../lib/context";
import { listCache, removeCached } from "../lib/sharing/block-cache";
import { sizeText } from "../lib/units";
import { mustAgree } from "./must-agree";
import type { Session } from "./session";
import { table } from "./table";

/** `torbiz cache list`: what is kept of the models that were fetched from a hub. */
export async function runCacheList({ output, surroundings, signal }: Session): Promise<void> {
  const models = await listCache(await openEngine(surroundings), signal);
  output.result(
    {
      models: models.map(({ model, repository, volumeBytes, homeBytes }) => ({
        ...{ id: model?.id ?? null, repository, volumeBytes, homeBytes },
      })),
    },
    models.length === 0
      ? "Nothing is kept: no model was fetched from a hub."
      : table(
          models.map(({ model, repository, volumeBytes, homeBytes }) => [
            model?.id ?? repository,
            `${sizeText(volumeBytes)} of blocks in Docker's volume`,
            `${sizeText(homeBytes)} for asking in the home folder`,
          ]),
        ),
  );
}

/** `torbiz cache remove`: never without a yes. */
export async function runCacheRemove(session: Session, name: string, { yes }: { yes?: boolean }): Promise<void> {
  const { output, surroundings, signal } = session;
  const context = await openEngine(surroundings);
  if (!yes) await mustAgree(session, `Remove what is kept of ${name}? It is downloaded anew when it is shared again.`);
  const bytes = await removeCached(context, name, signal);
  output.result({ removed: name, bytes }, `Removed ${sizeText(bytes)} of ${name}.`);
}
