import { openEngine } from "../lib/context";
import { findDockerCli } from "../lib/docker/cli";
import { ensureImage } from "../lib/docker/build/image";
import type { Session } from "./session";

/** `torbiz build`: builds the image unless it is there; `--force` builds it without the engine's cache. */
export async function runBuild(
  { output, surroundings, signal }: Session,
  { force }: { force: boolean },
): Promise<void> {
  const context = await openEngine(surroundings, { onProgress: output.progress, signal });
  const { engine, endpoint, names, paths, runtimeFiles, env } = context;
  const { built, note, seconds } = await ensureImage({
    ...{ engine, endpoint, names, paths, runtimeFiles, env, force, signal },
    cliPath: () => findDockerCli(context),
    onProgress: output.progress,
  });
  if (note) output.note(note);
  const image = await engine.image(names.image);
  output.result(
    { built, image: names.image, id: image?.id ?? null, sizeBytes: image?.sizeBytes ?? null, seconds },
    built ? `Built ${names.image} in ${Math.round(seconds)} s.` : `${names.image} is there and up to date.`,
  );
}
