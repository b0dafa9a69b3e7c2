import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { DockerSurroundings } from "../../../src/lib/docker/endpoint";
import { knownSockets } from "../../../src/lib/docker/sockets";
import { healthy, scriptedEngine, scriptedSocket, type ScriptedEngine } from "./scripted-engine";

let home: string;
let open: ScriptedEngine[] = [];

beforeEach(() => (home = mkdtempSync(join(tmpdir(), "torbiz-sockets-"))));
afterEach(async () => {
  for (const engine of open) await engine.close();
  open = [];
  rmSync(home, { recursive: true, force: true });
});

function surroundings(): DockerSurroundings {
  return { env: {}, home, root: home, platform: "darwin" };
}

function place(...parts: string[]): string {
  const path = join(home, ...parts);
  mkdirSync(dirname(path), { recursive: true });
  return path;
}

async function engine(path: string, version?: string): Promise<void> {
  const answers = version && {
    "/version": (_: unknown, response: { end(text: string): void }) => response.end(version),
  };
  open.push(await scriptedEngine(healthy(answers || {}), path));
}

function context(name: string, host: string): void {
  const id = createHash("sha256").update(name).digest("hex");
  const file = place(".docker", "contexts", "meta", id, "meta.json");
  writeFileSync(file, JSON.stringify({ Name: name, Endpoints: { docker: { Host: host } } }));
}

const found = async () =>
  (await knownSockets(surroundings())).map(({ endpoint, name, state, detail }) => [
    endpoint.url.replace(home, "~"),
    ...[name, state, detail],
  ]);

describe("knownSockets", () => {
  it("are none on a bare machine", async () => {
    expect(await found()).toEqual([]);
  });

  it("are those that are there, by name, with what is wrong", async () => {
    await engine(place(".docker", "run", "docker.sock"), '{"Version":"27.3.1"}');
    await engine(place(".colima", "default", "docker.sock"));
    open.push(await scriptedSocket(() => undefined, place(".orbstack", "run", "docker.sock")));
    const dead = await scriptedSocket(() => undefined, place(".rd", "left.sock"));
    symlinkSync(dead.socketPath, place(".rd", "docker.sock"));
    open.push(dead);
    expect(await found()).toEqual([
      ["unix://~/.docker/run/docker.sock", "Docker Desktop", "ready", "Version 27.3.1"],
      ["unix://~/.orbstack/run/docker.sock", "OrbStack", "not-answering", "Docker isn't answering"],
      ["unix://~/.colima/default/docker.sock", "Colima", "ready", "Ready"],
      ["unix://~/.rd/docker.sock", "Rancher Desktop", "not-answering", "Docker isn't answering"],
    ]);
  });

  it("are each there once, by the engine's own place and not by a link to it", async () => {
    const own = place(".orbstack", "run", "docker.sock");
    await engine(own);
    symlinkSync(own, place("var", "run", "docker.sock"));
    context("orbstack", `unix://${own}`);
    expect(await found()).toEqual([["unix://~/.orbstack/run/docker.sock", "OrbStack", "ready", "Ready"]]);
  });

  it("have those of the contexts among them, and pass over what can't be reached by an address", async () => {
    const path = place("elsewhere", "engine.sock");
    await engine(path);
    context("mine", `unix://${path}`);
    context("far", "ssh://me@far");
    context("gone", `unix://${home}/gone.sock`);
    expect(await found()).toEqual([["unix://~/elsewhere/engine.sock", "mine", "ready", "Ready"]]);
  });
});
