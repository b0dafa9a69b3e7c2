import { chmodSync, existsSync, lstatSync, readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import {
  ensureAskEnvironment,
  lookAtAskEnvironment,
  pythonFor,
  type AskEnvironmentKind,
} from "../ask/ask-environments";
import { freeBytes } from "../ask/disk-space";
import { canFetchPython, fetchPython } from "../ask/fetch-python";
import { installedModels } from "../ask/local-model-files";
import { findPython } from "../ask/python";
import { pythonEnv } from "../ask/python-env";
import { askSocket } from "../ask/server";
import type { Surroundings } from "../context";
import { TorbizError, toTorbizError } from "../errors";
import { problem, warning, type Check, type Repair, type Verdict } from "./finding";
import { roomVerdict } from "./room";

/** Importing Petals takes a busy computer that long. */
const IMPORT_LIMIT_MS = 120_000;
/** Of each folder: so many are looked at in no time. */
const FILES = 1_000;
/** Names in a sentence. */
const NAMED = 5;
/** Many Pythons, each of which may take its time to say what it is. */
const PYTHON_LIMIT_MS = 60_000;

/** What each environment is for, and the package that does it. */
const PURPOSE = {
  local: { title: "Asking on this computer", engine: "xllamacpp" },
  swarm: { title: "Asking through a swarm", engine: "petals" },
} as const satisfies Record<AskEnvironmentKind, { title: string; engine: string }>;

/** Of what is on this computer without Docker. */
export const homeChecks: readonly Check[] = [
  {
    id: "disk",
    title: "Disk",
    look: async ({ surroundings: { paths } }) =>
      roomVerdict(await freeBytes(paths.home), `for ${paths.home}`, {
        hint: "Free some space.",
        cliHint: "`torbiz uninstall` lists what Torbiz has.",
      }),
  },
  {
    id: "python",
    title: "Python",
    limitMs: PYTHON_LIMIT_MS,
    look: ({ surroundings }) => python(surroundings),
  },
  environmentCheck("local"),
  environmentCheck("swarm"),
  { id: "files", title: "Files and sockets", look: ({ surroundings }) => files(surroundings) },
];

async function python(surroundings: Surroundings): Promise<Verdict> {
  const found = await Promise.allSettled(
    (["local", "swarm"] as const).map((kind) => findPython(surroundings, pythonFor(kind))),
  );
  const [local, swarm] = found;
  const words = [
    ...new Set(
      found.flatMap((each) => (each.status === "fulfilled" ? `Python ${each.value.version} (${each.value.path})` : [])),
    ),
  ];
  const detail = `${words.join(" and ")} can be asked with.`;
  const incomplete = found.find((each) => each.status === "fulfilled" && !each.value.canMakeVenv);
  const missing = local?.status === "rejected" ? local : swarm?.status === "rejected" ? swarm : undefined;
  if (missing) {
    const error = toTorbizError(missing.reason);
    const repair = fetchRepair(surroundings);
    return missing === local ? problem(error, repair) : warning(error, repair);
  }
  if (incomplete) {
    return {
      state: "warning",
      detail: `${detail} It can't make environments.`,
      hint: "On Debian and Ubuntu: `apt-get install python3-venv`.",
    };
  }
  return { state: "ok", detail };
}

/** A Python that a person chose is never replaced by another. */
function fetchRepair(surroundings: Surroundings): Repair | undefined {
  if (surroundings.env.TORBIZ_PYTHON || !canFetchPython(surroundings)) return undefined;
  return {
    title: "Fetch Python",
    run: async (options) => void (await fetchPython(surroundings, pythonFor("swarm"), options)),
  };
}

function environmentCheck(kind: AskEnvironmentKind): Check {
  return {
    id: `environment-${kind}`,
    title: PURPOSE[kind].title,
    limitMs: IMPORT_LIMIT_MS,
    look: ({ surroundings }, signal) => environment(surroundings, kind, signal),
  };
}

/** Whether our engine can be imported with the library that it stands on: that is what fails where an environment is broken. */
async function environment(
  surroundings: Surroundings,
  kind: AskEnvironmentKind,
  signal: AbortSignal,
): Promise<Verdict> {
  const { env, home } = surroundings;
  const { engine } = PURPOSE[kind];
  const { state, python: program, folder } = lookAtAskEnvironment(surroundings, kind);
  if (state === "missing")
    return { state: "ok", detail: "Its Python environment is made by the first question.", pending: true };
  const repair = remakeRepair(surroundings, kind, folder);
  if (state === "damaged") {
    return problem(
      new TorbizError("environment-failed", "Its Python environment has lost files.", {
        hint: "It is made anew with the next question.",
      }),
      repair,
    );
  }
  // As the ask server does it: Petals by itself can't be imported with the hivemind that it gets here.
  const imports = [
    "import sys; sys.path.insert(0, sys.argv[1])",
    `import torbiz.engines.${kind}, ${engine}; print(getattr(${engine}, "__version__", ""))`,
  ].join("\n");
  const code = join(surroundings.runtimeFiles, "python");
  const result = await execa(program, ["-I", "-B", "-W", "ignore", "-c", imports, code], {
    ...{
      env: pythonEnv(env, home),
      extendEnv: false,
      stdin: "ignore",
      reject: false,
      cancelSignal: signal,
      forceKillAfterDelay: 1_000,
    },
  });
  if (!result.failed) {
    const version = result.stdout.split("\n").at(-1) ?? "";
    const detail = `Its Python environment works: ${[engine, version].filter(Boolean).join(" ")}.`;
    if (kind === "swarm" || (await installedModels(surroundings.paths)).length > 0) return { state: "ok", detail };
    return { state: "ok", detail: `${detail} A model for it comes with the first question.`, pending: true };
  }
  const why = result.stderr.trimEnd().split("\n").at(-1) ?? "";
  return problem(
    new TorbizError("environment-failed", `Its Python environment can't import ${engine}: ${why}`, {
      hint: "Make it anew.",
    }),
    repair,
  );
}

function remakeRepair(surroundings: Surroundings, kind: AskEnvironmentKind, folder: string): Repair {
  return {
    title: "Make Environment Anew",
    run: async (options) => {
      // Its name is a link: whoever works in it now goes on.
      await rm(folder, { force: true });
      await ensureAskEnvironment(surroundings, kind, options);
    },
  };
}

/** What others on this computer could read or connect to. */
function files(surroundings: Surroundings): Verdict {
  const open = openToOthers(surroundings);
  if (open.length === 0) return { state: "ok", detail: "They are your user's alone." };
  const more = open.length > NAMED ? ` and ${open.length - NAMED} more` : "";
  const named = open.slice(0, NAMED).map(({ path }) => path);
  return {
    state: "warning",
    detail: `Others on this computer can get at ${named.join(", ")}${more}.`,
    // Looked at anew: some are there for a moment only.
    repair: {
      title: "Make Private",
      run: async () => openToOthers(surroundings).forEach(({ path, mode }) => chmodSync(path, mode)),
    },
  };
}

/** With the mode that each should have. Models are for a container's user to read, and environments are folders. */
function openToOthers(surroundings: Surroundings): { path: string; mode: number }[] {
  const { home, run, logs, envs, conversations } = surroundings.paths;
  return [
    ...[home, run, logs, envs, conversations].map((path) => ({ path, mode: 0o700 })),
    ...(["local", "swarm"] as const).map((kind) => ({ path: askSocket(surroundings, kind), mode: 0o600 })),
    ...[home, run, logs, conversations].flatMap(filesIn).map((path) => ({ path, mode: 0o600 })),
  ].filter(({ path }) => {
    const facts = lstatSync(path, { throwIfNoEntry: false });
    return facts !== undefined && (facts.mode & 0o077) !== 0;
  });
}

/** Not those of a desktop, such as .DS_Store. */
function filesIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.startsWith("."))
    .slice(0, FILES)
    .map(({ name }) => join(folder, name));
}
