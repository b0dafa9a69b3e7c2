import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import type { Paths } from "./paths";

/** What the home folder holds, as people choose what goes of it. */
export type HomePart = "environments" | "models" | "conversations" | "settings";

interface Place {
  part: HomePart;
  room: keyof Paths;
  /** The names that Torbiz gives there; drafts and leftovers of what was killed are among them. */
  ours: RegExp;
  /** The same for what is in folders that have other names. */
  inside?: RegExp;
}

/** All that Torbiz writes into its home folder. The folder may be one that was there before, with other things in it. */
const PLACES: readonly Place[] = [
  { part: "environments", room: "envs", ours: /^(dev|local|swarm)-[0-9a-f]{16}(\..+)?$/ },
  { part: "environments", room: "pythons", ours: /^(cpython-3\..+|draft|\.[0-9a-f]{16}\.partial)$/ },
  {
    part: "models",
    room: "models",
    ours: /^(\.starter-wheel|[^.]+\.(lock|partial-\d+-.+))$/,
    // A model has a folder by its id, with a form for each who reads it.
    inside: /^(gguf|petals|ready\.json)$/,
  },
  { part: "conversations", room: "conversations", ours: /^c-[0-9a-z]{1,64}\.jsonl$/ },
  {
    part: "settings",
    room: "run",
    ours: /^(ask-(local|swarm)|build-.+|download-.+|fetch-python|last-choice.*|starter|torbiz-petals-seeder.*)\.(finish|json|lock|sock|stop)(\..+)?$|^build-seconds\.json(\..+)?$/,
  },
  {
    part: "settings",
    room: "logs",
    ours: /^(ask-(local|swarm)|build-.+|dockerd|environment-[a-z]+|setup|torbiz-petals-seeder.*)\.log(\..+)?$|^torbiz-(contribution|conversation|log|report)-\d.+$/,
  },
  { part: "settings", room: "home", ours: /^(ask|contribution|hub-models|speed)\.json(\..+)?$/ },
];

/** Absolute paths. */
export interface HomeContents extends Record<HomePart, string[]> {
  /** What somebody else has put there. */
  others: string[];
}

/** Looks through the home folder, no deeper than to tell what is Torbiz's. */
export function homeContents(paths: Paths): HomeContents {
  const found: HomeContents = { environments: [], models: [], conversations: [], settings: [], others: [] };
  const rooms = PLACES.map(({ room }) => paths[room]);
  for (const { part, room, ours, inside } of PLACES) {
    for (const path of entriesOf(paths[room])) {
      if (rooms.includes(path)) continue;
      const within = inside ? entriesOf(path) : [];
      if (ours.test(basename(path))) found[part].push(path);
      else if (within.length === 0) found.others.push(path);
      else for (const entry of within) (inside?.test(basename(entry)) ? found[part] : found.others).push(entry);
    }
  }
  return found;
}

/** None for a file, and for a folder that can't be read. */
function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder).map((name) => join(folder, name));
  } catch {
    return [];
  }
}
