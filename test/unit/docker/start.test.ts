import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { checkDocker } from "../../../src/lib/docker/preflight";
import { startEngine } from "../../../src/lib/docker/start";

/** A Mac's folders, with programs of our own on its PATH. */
let home: string;

beforeEach(() => (home = mkdtempSync(join(tmpdir(), "torbiz-start-"))));
afterEach(() => rmSync(home, { recursive: true, force: true }));

const env = () => ({ PATH: `${home}:/usr/bin:/bin`, HOME: home });

function program(name: string, script: string): void {
  writeFileSync(join(home, name), `#!/bin/sh\ncd ${home}\n${script}\n`);
  chmodSync(join(home, name), 0o755);
}

describe("startEngine", () => {
  it("starts the program that a Mac's preflight names", async () => {
    program("open", 'printf "%s|" "$@" >opened');
    program("docker", "");
    const surroundings = { env: env(), home, root: home, platform: "darwin" } as const;
    const docker = await checkDocker(surroundings);
    if (docker.state !== "not-running" || !docker.error.action?.start) throw new Error(`unlike a Mac: ${docker.state}`);
    await startEngine(docker.error.action.start, surroundings);
    expect(readFileSync(join(home, "opened"), "utf8")).toBe("-ga|Docker|");
  });

  it("tells why it couldn't, in the program's own words", async () => {
    program("open", "echo \"Unable to find application named 'OrbStack'\" >&2; exit 1");
    await expect(startEngine({ file: "open", args: ["-ga", "OrbStack"] }, { env: env(), home })).rejects.toMatchObject({
      code: "docker-not-running",
      message: "Docker couldn't be started: Unable to find application named 'OrbStack'",
    });
  });

  it("tells of a program that is missing, and of one that says nothing", async () => {
    const surroundings = { env: env(), home };
    await expect(startEngine({ file: "no-colima", args: ["start"] }, surroundings)).rejects.toMatchObject({
      message: "Docker couldn't be started: there is no no-colima command.",
    });
    program("silent", "exit 7");
    await expect(startEngine({ file: "silent", args: [] }, surroundings)).rejects.toMatchObject({
      message: "Docker couldn't be started: it ended with 7.",
    });
  });

  it("leaves one alone that takes its time, and it goes on", async () => {
    program("slow", "while [ ! -e go ]; do sleep 0.05; done; echo done >slowly");
    await startEngine({ file: "slow", args: [] }, { env: env(), home }, 200);
    expect(existsSync(join(home, "slowly"))).toBe(false);
    writeFileSync(join(home, "go"), "");
    while (!existsSync(join(home, "slowly"))) await sleep(20);
  });
});
