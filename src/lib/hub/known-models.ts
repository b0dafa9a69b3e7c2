import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readConfig } from "../model-config";
import { MODELS, onHub, repositoryOf, type Model } from "../models";
import type { Paths } from "../paths";

const REPOSITORY = /^[\w-][\w.-]*\/[\w-][\w.-]*$/;

/** Whether it has the form of a repository's name: "owner/name". */
export function isRepository(text: string): boolean {
  return REPOSITORY.test(text) && !/--|\.\./.test(text);
}

/** What the hub told of a model: all else follows from it. */
export type HubFacts = Pick<Model, "config" | "license" | "gated" | "diskBytes"> & {
  /** "owner/name" */
  repository: string;
  /** The commit that was looked up. */
  revision: string;
};

type Where = Pick<Paths, "home">;

/**
 * The catalogue, and the models that a person named by their repositories. What the hub told of them is remembered in the
 * home folder, so that no later look needs the network, and a branch that moves on doesn't change what is shared.
 *
 * @example
 * findModel("owner/name", knownModels(paths));
 */
export function knownModels(paths: Where): readonly Model[] {
  const facts = read(paths);
  const own = facts.filter(({ repository }) => !MODELS.some((model) => isOf(model, repository)));
  return [...MODELS.map((model) => asLookedUp(model, facts)), ...own.map(ownModel)];
}

/** What is remembered of a repository. */
export function factsOf(paths: Where, repository: string): HubFacts | undefined {
  return read(paths).find((facts) => idOf(facts.repository) === idOf(repository));
}

/** Remembers what the hub told of a model, in the place of what it told before. */
export function rememberModel(paths: Where, facts: HubFacts): void {
  write(paths, [...read(paths).filter(({ repository }) => idOf(repository) !== idOf(facts.repository)), facts]);
}

/** Remembers a model at the commit at which it is shared, which may be another one than before: an invite's. */
export function rememberUsed(paths: Where, model: Model): void {
  const [repository, revision] = [repositoryOf(model), commitOf(model)];
  const isKnown = knownModels(paths).some((known) => known.id === model.id && commitOf(known) === revision);
  if (!repository || !revision || isKnown) return;
  const { config, license, gated, diskBytes } = model;
  rememberModel(paths, { repository, revision, config, license, gated, diskBytes });
}

/** Forgets what the hub told of a model: when it is named again, it is looked up anew. */
export function forgetModel(paths: Where, model: Model): void {
  const kept = read(paths);
  const others = kept.filter(({ repository }) => !isOf(model, repository));
  if (others.length < kept.length) write(paths, others);
}

/** A model of the catalogue with what the hub told of it; a catalogue that names another commit by now goes before. */
function asLookedUp(model: Model, facts: readonly HubFacts[]): Model {
  const found = facts.find(({ repository }) => isOf(model, repository));
  if (!found || model.source.kind !== "hub") return model;
  const { revision } = model.source;
  if (isCommit(revision) && revision !== found.revision) return model;
  return onHub({ ...model, ...found });
}

/** The model of a repository that is not in the catalogue. */
function ownModel(facts: HubFacts): Model {
  const { repository } = facts;
  const title = repository.slice(repository.indexOf("/") + 1);
  return onHub({ ...facts, id: idOf(repository), title, note: `Chosen by you on the model hub: ${repository}.` });
}

/** No two repositories of the hub differ in capitals alone, and none has two dashes in a row. */
function idOf(repository: string): string {
  return repository.toLowerCase().replace("/", "--");
}

/** The id of the model that a name is of, an id or a repository, also where nothing is known of it yet. */
export function idOfName(name: string): string {
  const typed = name.trim();
  return MODELS.find((model) => isOf(model, typed))?.id ?? idOf(typed);
}

/** Whether it is the model of that repository. */
export function isOf({ source }: Model, repository: string): boolean {
  return source.kind === "hub" && idOf(source.repository) === idOf(repository);
}

/** The commit at which a model of the hub is known; undefined where only its branch is. */
export function commitOf({ source }: Model): string | undefined {
  return source.kind === "hub" && isCommit(source.revision) ? source.revision : undefined;
}

/** Whether a revision can't move on, as a branch does. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}

function file(paths: Where): string {
  return join(paths.home, "hub-models.json");
}

/** Whole or not at all. */
function write(paths: Where, models: readonly HubFacts[]): void {
  const draft = `${file(paths)}.${crypto.randomUUID()}`;
  writeFileSync(draft, `${JSON.stringify(models, undefined, 2)}\n`, { mode: 0o600 });
  renameSync(draft, file(paths));
}

/** What can be read of the file; the rest is looked up again when it is wanted. */
function read(paths: Where): HubFacts[] {
  try {
    const content: unknown = JSON.parse(readFileSync(file(paths), "utf8"));
    return Array.isArray(content) ? content.flatMap((each: unknown) => readFacts(each) ?? []) : [];
  } catch {
    return [];
  }
}

function readFacts(value: unknown): HubFacts | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { repository, revision, config, license, gated, diskBytes } = value as Record<string, unknown>;
  if (typeof repository !== "string" || !isRepository(repository)) return undefined;
  if (typeof revision !== "string" || !isCommit(revision) || typeof license !== "string") return undefined;
  if (typeof gated !== "boolean" || typeof diskBytes !== "number") return undefined;
  try {
    return { repository, revision, config: readConfig(config, repository), license, gated, diskBytes };
  } catch {
    return undefined;
  }
}
