import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { resolvePaths } from "../../src/lib/paths";
import { setUpMachine } from "../../src/lib/setup/machine";
import type { SetUpSurroundings } from "../../src/lib/setup/surroundings";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "torbiz-setup-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function surroundings(env: NodeJS.ProcessEnv, changes: Partial<SetUpSurroundings> = {}): SetUpSurroundings {
  const own = { ...env, TORBIZ_HOME: join(root, "torbiz") };
  const paths = resolvePaths(own);
  return { env: own, home: homedir(), platform: process.platform, paths, onProgress: () => undefined, ...changes };
}

it("leaves a machine alone whose engine answers", async () => {
  const here = surroundings(process.env);
  expect((await setUpMachine(here)).state).toBe("ready");
  expect(existsSync(here.paths.logs)).toBe(false);
});

/** Ends the engine and waits until it has cleared up after itself. */
async function stopEngine(pid: number): Promise<void> {
  process.kill(pid, "SIGTERM");
  while (existsSync(`/proc/${pid}`)) await new Promise((resolve) => setTimeout(resolve, 100));
}

// Only there can an engine be started at all: elsewhere it is Docker Desktop that a person starts.
if (process.platform === "linux" && process.getuid?.() === 0) {
  it("starts a real engine that is installed and doesn't run, in a session of its own", async () => {
    // A second engine beside the machine's: nothing of it outside its folder, and no network that both would want.
    const bin = join(root, "bin");
    mkdirSync(bin);
    mkdirSync(join(root, "etc"));
    mkdirSync(join(root, "var", "run"), { recursive: true });
    writeFileSync(join(root, "etc", "os-release"), "ID=debian\n");
    const files = `--data-root ${root}/data --exec-root ${root}/exec --pidfile ${root}/pid`;
    const options = `--host unix://${root}/var/run/docker.sock ${files} --bridge none --iptables=false`;
    // A network namespace of its own: with `--bridge none` a second engine removes the first one's docker0.
    const commands = {
      dockerd: `exec unshare --net dockerd ${options}`,
      docker: 'exec docker "$@"',
      "apt-get": "exit 1",
    };
    for (const [name, script] of Object.entries(commands)) {
      writeFileSync(
        join(bin, name),
        `#!/bin/sh\nPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n${script}\n`,
      );
      chmodSync(join(bin, name), 0o755);
    }

    const ready = await setUpMachine(surroundings({ PATH: bin, HF_TOKEN: "hf_canary" }, { root, home: root }));
    const pid = Number(readFileSync(join(root, "pid"), "utf8"));
    try {
      expect(ready.endpoint.socketPath).toBe(join(root, "var", "run", "docker.sock"));
      expect(ready.engine.version).toMatch(/^\d+\.\d+/);
      // Field 6 of stat(5) after the name in brackets is the session: its own, so no Ctrl-C of ours reaches it.
      const session = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ")[3];
      expect(Number(session)).toBe(pid);
      expect(readFileSync(`/proc/${pid}/environ`, "utf8")).not.toContain("hf_canary");
    } finally {
      await stopEngine(pid);
    }
  });
}
