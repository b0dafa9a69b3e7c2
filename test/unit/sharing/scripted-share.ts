import type { RequestListener } from "node:http";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSurroundings, type Surroundings } from "../../../src/lib/context";
import { healthy, scriptedEngine, type ScriptedEngine } from "../docker/scripted-engine";

/** A share of ours as an engine on a socket tells of it; tests change it as they go on. */
export interface ScriptedShare {
  surroundings: Surroundings;
  engine: ScriptedEngine;
  /** The container's inspect answer; undefined: there is none. */
  container?: { Id?: string; State: Record<string, unknown>; Config: Record<string, unknown> };
  /** The image's labels; undefined: there is none. */
  image?: Record<string, string>;
  /** "time text" each. */
  log: string[];
  /** As the engine sends them. */
  events: object[];
  /** Answers to paths that win over all others. */
  others: Record<string, RequestListener>;
  close(): Promise<void>;
}

export const LABELS = {
  "com.torbiz.managed": "1",
  "com.torbiz.model": "smollm2-135m-instruct",
  "com.torbiz.swarm": "private",
};

export async function scriptedShare(): Promise<ScriptedShare> {
  const home = mkdtempSync(join(tmpdir(), "torbiz-share-"));
  const engine = await scriptedEngine((request, response) => {
    const path = (request.url ?? "").split("?")[0]?.replace(/^\/v[\d.]+/, "") ?? "";
    const other = share.others[path];
    if (other) return other(request, response);
    if (path.startsWith("/images/") && share.image) {
      return void response.end(JSON.stringify({ Id: "sha256:1", Size: 1, Config: { Labels: share.image } }));
    }
    if (path === "/events") {
      response.write(share.events.map((event) => `${JSON.stringify(event)}\n`).join(""));
      return; // an engine goes on
    }
    if (share.container && path.endsWith("/logs")) return void response.end(Buffer.concat(share.log.map(frame)));
    if (share.container && /^\/containers\/[^/]+\/json$/.test(path)) {
      return void response.end(JSON.stringify({ Id: "abc", Created: "2026-01-31T12:00:00Z", ...share.container }));
    }
    return healthy()(request, response);
  });
  const share: ScriptedShare = {
    surroundings: openSurroundings({
      runtimeFiles: process.cwd(),
      env: { ...withoutWay(process.env), TORBIZ_HOME: home, TORBIZ_INSTANCE: "", TORBIZ_BASE_IMAGE: "" },
      home,
      host: engine.socketPath,
    }),
    engine,
    log: [],
    events: [],
    others: {},
    close: async () => {
      await engine.close();
      rmSync(home, { recursive: true, force: true });
    },
  };
  return share;
}

/** A message of stderr as the engine frames it. */
export function frame(line: string): Buffer {
  const payload = Buffer.from(`${line}\n`);
  const header = Buffer.from([2, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32BE(payload.length, 4);
  return Buffer.concat([header, payload]);
}

/** Without this computer's own proxies and authorities: a container would be told of them. */
function withoutWay(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/_proxy$|CERT|CA_BUNDLE/i.test(name)));
}
