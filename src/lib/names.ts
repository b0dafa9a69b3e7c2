import { TorbizError } from "./errors";

/** The names by which Docker knows what is ours. With TORBIZ_INSTANCE each takes a suffix, so that instances never meet. */
export interface Names {
  /** "" for the usual one. */
  instance: string;
  container: string;
  image: string;
  volume: string;
  network: string;
  /** The port to publish unless told otherwise: the same inside and outside the container. */
  port: number;
}

export const DEFAULT_PORT = 31330;

/** Labels on everything we make. `managed` says that it is ours; the others tell what a container serves. */
export const LABELS = {
  managed: "com.torbiz.managed",
  version: "com.torbiz.version",
  /** Hash of the image's inputs: on the image, and on the container the hash it was made from. */
  inputs: "com.torbiz.inputs",
  /** On the image: the version of what its programs and we agree on. */
  contract: "com.torbiz.contract",
  /** On the image: the base image it was built on. */
  base: "com.torbiz.base",
  /** On what the classic builder keeps of a build's steps. */
  buildStep: "com.torbiz.build-step",
  instance: "com.torbiz.instance",
  model: "com.torbiz.model",
  /** The commit of a model of the hub; absent for the starter. */
  revision: "com.torbiz.revision",
  blocks: "com.torbiz.blocks",
  swarm: "com.torbiz.swarm",
  port: "com.torbiz.port",
  /** The host by which others are told to reach it; absent where that isn't told. */
  host: "com.torbiz.host",
  /** When the command that made it began, in milliseconds since 1970 by this computer's clock. */
  began: "com.torbiz.began",
  /** "share" or "quickstart". */
  startedBy: "com.torbiz.started-by",
} as const;

/**
 * The names for one instance.
 * @throws TorbizError instance-invalid
 */
export function resolveNames(env: NodeJS.ProcessEnv = process.env): Names {
  const instance = env.TORBIZ_INSTANCE ?? "";
  if (instance !== "" && !/^[a-z0-9][a-z0-9-]{0,23}$/.test(instance)) {
    throw new TorbizError("instance-invalid", `"${instance}" can't be part of a container's name.`);
  }
  const suffix = instance === "" ? "" : `-${instance}`;
  return {
    instance,
    container: `torbiz-petals-seeder${suffix}`,
    image: `torbiz-petals-macos:${instance === "" ? "latest" : instance}`,
    volume: `torbiz-petals-cache${suffix}`,
    network: `torbiz-petals${suffix}`,
    port: instance === "" ? DEFAULT_PORT : DEFAULT_PORT + 1 + (hash(instance) % 600),
  };
}

/** A small stable hash (FNV-1a), so that an instance always has the same port. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const char of text) value = Math.imul(value ^ (char.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  return value;
}
