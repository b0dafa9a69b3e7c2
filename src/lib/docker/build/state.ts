import { LABELS } from "../../names";
import type { ImageFacts } from "../engine";
import type { EnsureImageOptions } from "./image";
import { inputsHash } from "./script";

/**
 * What we and the programs in the image agree on: the seeder's arguments and status.json. Raised when an older image no
 * longer does what we ask of it; `com.torbiz.contract` in the Dockerfile is the same number.
 */
export const CONTRACT = 3;

/**
 * - missing: there is none
 * - current: made from the files we have
 * - outdated: of an older Torbiz, but it speaks the same contract, so it still serves
 * - unusable: of another contract
 * - by-hand: it doesn't say what it was made from: somebody's own build
 */
export type ImageState = "missing" | "current" | "outdated" | "unusable" | "by-hand";

/**
 * How the image stands to the files we have.
 * @throws TorbizError build-failed when those can't be read, docker-*
 */
export async function imageState(
  options: Pick<EnsureImageOptions, "engine" | "names" | "endpoint" | "runtimeFiles" | "env">,
): Promise<ImageState> {
  const [image, wanted] = await Promise.all([options.engine.image(options.names.image), inputsHash(options)]);
  return judgeImage(image, wanted, options.env.TORBIZ_BASE_IMAGE);
}

/**
 * The same of an image that was asked for already.
 *
 * @param wanted `inputsHash` of the files we have
 * @param base the base image that it must be built on; any will do when absent
 */
export function judgeImage(image: ImageFacts | undefined, wanted: string, base?: string): ImageState {
  if (!image) return "missing";
  const { [LABELS.inputs]: inputs, [LABELS.base]: ownBase, [LABELS.contract]: contract } = image.labels;
  if (!inputs) return "by-hand";
  if (inputs === wanted && (!base || base === ownBase)) return "current";
  return contract === String(CONTRACT) ? "outdated" : "unusable";
}
