import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readConfig } from "./model-config";
import { MODELS, onHub, type Model } from "./models";
import type { Paths } from "./paths";

/** What the hub told of a model: all else follows from it. */
export type HubFacts = Pick<Model, "config" | "license" | "gated" | "diskBytes"> & {
  /** "owner/name" */
  repository: string;
  /** The commit that was looked up. */
  revision: string;
};

/**
 * The catalogue, and the models that a person named by their repositories and that were looked up on the hub: they are
 * remembered in the home folder, so that no later look needs the network.
 *
 * @example
 * findModel("owner/name", knownModels(paths));
 */
export function knownModels(paths: Where): readonly Model[] {
  return [...MODELS, ...read(paths).map(ownModel)];
}

/** The model of a repository that is in no catalogue. */
export function ownModel(facts: HubFacts): Model {
  const { repository } = facts;
  const title = repository.slice(repository.indexOf("/") + 1);
  return onHub({ ...facts, id: ownId(repository), title, note: `Chosen by you on the model hub: ${repository}.` });
}

/** No two repositories of the hub differ in capitals alone, and none has two dashes in a row. */
function ownId(repository: string): string {
  return repository.toLowerCase().replace("/", "--");
}

/** Remembers what the hub told, in the place of what it told before. */
export function rememberModel(paths: Where, facts: HubFacts): void {
  write(paths, [...read(paths).filter(({ repository }) => ownId(repository) !== ownId(facts.repository)), facts]);
}

/** Forgets a model of one's own: when it is named again, it is looked up anew. */
export function forgetModel(paths: Where, { id }: Model): void {
  write(
    paths,
    read(paths).filter(({ repository }) => ownId(repository) !== id),
  );
}

type Where = Pick<Paths, "home">;

function file(paths: Where): string {
  return join(paths.home, "own-models.json");
}

/** Whole or not at all. */
function write(paths: Where, models: readonly HubFacts[]): void {
  const draft = `${file(paths)}.${crypto.randomUUID()}`;
  writeFileSync(draft, JSON.stringify(models, undefined, 2), { mode: 0o600 });
  renameSync(draft, file(paths));
}

/** What can be read of the file; the rest is looked up again when it is wanted. */
function read(paths: Where): HubFacts[] {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(file(paths), "utf8"));
  } catch {
    return [];
  }
  return Array.isArray(content) ? content.flatMap((each: unknown) => readFacts(each) ?? []) : [];
}

function readFacts(value: unknown): HubFacts | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { repository, revision, config, license, gated, diskBytes } = value as Record<string, unknown>;
  if (typeof repository !== "string" || typeof revision !== "string" || typeof license !== "string") return undefined;
  if (typeof gated !== "boolean" || typeof diskBytes !== "number") return undefined;
  try {
    return { repository, revision, config: readConfig(config, repository), license, gated, diskBytes };
  } catch {
    return undefined;
  }
}
