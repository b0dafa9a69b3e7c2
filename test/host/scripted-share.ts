import { writeFileSync } from "node:fs";
import type { RequestListener } from "node:http";
import { fixture } from "../unit/build/recording";
import { healthy, scriptedEngine, type ScriptedEngine } from "../unit/docker/scripted-engine";
import { buildFiles } from "../../src/lib/docker/build/lock";
import { resolveNames } from "../../src/lib/names";
import { prepareHome, resolvePaths } from "../../src/lib/paths";

/** A home folder and names that nothing else uses, as the environment of commands. */
export interface Ground {
  env: NodeJS.ProcessEnv;
  names: ReturnType<typeof resolveNames>;
  paths: ReturnType<typeof resolvePaths>;
}

/** Makes `home` a home folder of Torbiz. */
export function ground(home: string): Ground {
  const env = { TORBIZ_HOME: home, TORBIZ_INSTANCE: "menu" };
  const paths = resolvePaths(env);
  prepareHome(paths);
  return { env, paths, names: resolveNames(env) };
}

export const LABELS = {
  "com.torbiz.managed": "1",
  "com.torbiz.model": "smollm2-135m-instruct",
  "com.torbiz.swarm": "private",
  "com.torbiz.port": "31330",
};

/** What the seeder writes, with changes; `ago` is how many seconds ago it came online. */
export function report(changes: object = {}, ago = 7_530): object {
  return {
    time: new Date().toISOString(),
    stage: "online",
    message: null,
    blocks: { loaded: 30, total: 30, start: 0, end: 30 },
    peerId: "12D3KooWPeer",
    addresses: ["/ip4/127.0.0.1/tcp/31330/p2p/12D3KooWPeer"],
    reachability: "local",
    sessions: 0,
    tokens: 0,
    throughput: 300,
    since: new Date(Date.now() - ago * 1_000).toISOString(),
    ...changes,
  };
}

/** An inspect answer as engine 20.10 gives it, as far as it matters. */
export function container(
  state: object,
  { seeder, labels = LABELS }: { seeder?: object; labels?: object } = {},
): object {
  const health = { Status: "healthy", Log: [{ End: new Date().toISOString(), Output: JSON.stringify(seeder) }] };
  return {
    Id: "c".repeat(64),
    Config: { Image: "torbiz-petals-macos:menu", Labels: labels },
    State: { Running: false, ExitCode: 0, Error: "", ...state, ...(seeder && { Health: health }) },
  };
}

export interface ShareEngine extends ScriptedEngine {
  /** What inspect answers; undefined: there is no such container. */
  container?: unknown;
}

/** What an engine has; both may change. */
export interface EngineContent {
  /** The image's labels; undefined: there is none. */
  image?: Record<string, string>;
  /** What inspect answers of the share; undefined: there is no such container. */
  share?: () => unknown;
}

/** Answers as an engine with this image, if any, and this container, if any, with or without the API's version in front. */
export function answering({ names }: Ground, content: EngineContent): RequestListener {
  const image = `/images/${encodeURIComponent(names.image)}/json`;
  const shares = [names.container, "c".repeat(64)].map((name) => `/containers/${name}/json`);
  return (request, response) => {
    const path = (request.url ?? "").replace(/^\/v[\d.]+/, "").split("?")[0] ?? "";
    const { image: Labels, share } = content;
    const found =
      path === image && Labels
        ? { Id: "sha256:1", Size: 1_340_000_000, Config: { Labels } }
        : shares.includes(path)
          ? share?.()
          : undefined;
    return found === undefined ? healthy()(request, response) : void response.end(JSON.stringify(found));
  };
}

/** An engine with one container, which is as a test says. */
export async function shareEngine(here: Ground, socketPath: string): Promise<ShareEngine> {
  const engine: ShareEngine = await scriptedEngine(answering(here, { share: () => engine.container }), socketPath);
  return engine;
}

/** The files of a build that this process (or another) runs, as the script writes them: the recorded log's first `seconds`. */
export function buildThatRuns({ paths, names }: Ground, seconds: number, pid = process.pid): void {
  const { lock, log } = buildFiles(paths, names);
  const note = { pid, startedAt: new Date().toISOString(), log, tag: names.image };
  writeFileSync(lock, JSON.stringify(note));
  writeFileSync(log, recorded(seconds, pid).join("\n") + "\n");
}

/** The log of a build that has ended so. */
export function buildThatEnded({ paths, names }: Ground, lastLine: string): void {
  writeFileSync(buildFiles(paths, names).log, [...recorded(60), lastLine].join("\n") + "\n");
}

/** A real build's log, of that process. */
function recorded(seconds: number, pid = process.pid): string[] {
  const entries = fixture("classic.tsv").trimEnd().split("\n");
  const lines = entries.map((entry) => entry.split("\t", 2) as [string, string]);
  const seen = lines.filter(([at]) => Number(at) <= seconds).map(([, line]) => line);
  return seen.map((line, index) => (index === 0 ? line.replace(/pid=\d+/, `pid=${pid}`) : line));
}
