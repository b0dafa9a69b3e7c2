import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { EngineContext, Surroundings } from "../context";
import { isRecord, parseJson } from "../json";

/** What was given to others on one day, UTC. */
export interface ContributedDay {
  /** Sessions that began. */
  sessions: number;
  /** Tokens served, prompts included. */
  tokens: number;
  /** Time online. */
  onlineSeconds: number;
  /** Time online, multiplied by the blocks served. */
  blockSeconds: number;
}

/** By day: "2026-01-31". */
export type Contribution = Readonly<Record<string, ContributedDay>>;

/** The same over today, the last seven days, and all of them; days are UTC. */
export interface ContributionTotals {
  today: ContributedDay;
  week: ContributedDay;
  all: ContributedDay;
}

const NOTHING: ContributedDay = { sessions: 0, tokens: 0, onlineSeconds: 0, blockSeconds: 0 };
const FIGURES = Object.keys(NOTHING) as (keyof ContributedDay)[];
/** Of the container: kept by `python/torbiz/contribution.py`. */
const SEEDER_FILE = "/cache/contribution.json";
const DAY_MS = 86_400_000;

/**
 * Copies what a container's volume has of it into the home folder, whether the container runs or has ended. Figures only
 * ever grow: each volume's file has an id of its own, so days are merged within one and added up over all.
 *
 * @throws TorbizError the engine's failures
 */
export async function keepContribution(context: EngineContext, containerId: string): Promise<void> {
  const content = await context.engine.readFile(containerId, SEEDER_FILE);
  const found = content && parseJson(content.toString("utf8"));
  if (!isRecord(found) || typeof found.id !== "string") return;
  const kept = readFiles(context);
  const days: Record<string, ContributedDay> = { ...kept[found.id] };
  for (const [day, figures] of Object.entries(toDays(found.days))) {
    days[day] = combine(days[day] ?? NOTHING, figures, Math.max);
  }
  const path = file(context);
  const draft = `${path}.${crypto.randomUUID()}`;
  writeFileSync(draft, JSON.stringify({ files: { ...kept, [found.id]: days } }), { mode: 0o600 });
  renameSync(draft, path);
}

/** What was copied so far, all volumes added up, oldest day first. */
export function readContribution(surroundings: Pick<Surroundings, "paths">): Contribution {
  const sum: Record<string, ContributedDay> = {};
  for (const days of Object.values(readFiles(surroundings))) {
    for (const [day, figures] of Object.entries(days)) sum[day] = add(sum[day] ?? NOTHING, figures);
  }
  return Object.fromEntries(Object.entries(sum).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** @param now what time it is */
export function contributionTotals(contribution: Contribution, now = new Date()): ContributionTotals {
  const since = (days: number) => new Date(now.getTime() - days * DAY_MS).toISOString().slice(0, 10);
  const total = (first: string) =>
    Object.entries(contribution).reduce((sum, [day, figures]) => (day < first ? sum : add(sum, figures)), NOTHING);
  return { today: total(since(0)), week: total(since(6)), all: total("") };
}

/** As a table for other programs: a line a day, hours with two digits after the point (RFC 4180). */
export function contributionCsv(contribution: Contribution): string {
  const hours = (seconds: number) => (seconds / 3_600).toFixed(2);
  const rows = Object.entries(contribution).map(([day, { sessions, tokens, onlineSeconds, blockSeconds }]) =>
    [day, sessions, tokens, hours(onlineSeconds), hours(blockSeconds)].join(","),
  );
  return ["day,sessions,tokens,hours_online,block_hours", ...rows, ""].join("\r\n");
}

function file({ paths }: Pick<Surroundings, "paths">): string {
  return join(paths.home, "contribution.json");
}

/** Copied days by the id of the volume's file. A file that can't be read is set aside: its volumes can be copied again. */
function readFiles(surroundings: Pick<Surroundings, "paths">): Record<string, Contribution> {
  const path = file(surroundings);
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return {};
  }
  const content = parseJson(text);
  if (isRecord(content) && isRecord(content.files)) {
    return Object.fromEntries(Object.entries(content.files).map(([id, days]) => [id, toDays(days)]));
  }
  renameSync(path, `${path}.damaged`);
  return {};
}

function toDays(value: unknown): Contribution {
  const days = isRecord(value) ? Object.entries(value) : [];
  return Object.fromEntries(
    days.filter(([day]) => /^\d{4}-\d\d-\d\d$/.test(day)).map(([day, figures]) => [day, toDay(figures)]),
  );
}

function toDay(value: unknown): ContributedDay {
  const day = { ...NOTHING };
  for (const figure of FIGURES) {
    const number = isRecord(value) ? value[figure] : undefined;
    if (typeof number === "number" && number > 0) day[figure] = number;
  }
  return day;
}

function add(one: ContributedDay, other: ContributedDay): ContributedDay {
  return combine(one, other, (a, b) => a + b);
}

function combine(one: ContributedDay, other: ContributedDay, how: (a: number, b: number) => number): ContributedDay {
  const day = { ...NOTHING };
  for (const figure of FIGURES) day[figure] = how(one[figure], other[figure]);
  return day;
}
