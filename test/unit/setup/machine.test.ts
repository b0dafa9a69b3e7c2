import { readFileSync } from "node:fs";
import { join } from "node:path";
import { checkDocker } from "../../../src/lib/docker/preflight";
import { canSetUp, setUpMachine } from "../../../src/lib/setup/machine";
import type { SetUpSurroundings } from "../../../src/lib/setup/surroundings";
import { MachineFolder } from "./machine-folder";

let machine: MachineFolder;
beforeEach(() => {
  machine = new MachineFolder();
});
afterEach(() => machine.remove());

/** A dockerd that answers like Docker 20.10 until it is killed; its process id is left in the machine's folder. */
function engineScript(root: string): string {
  const program = `
    const http = require("node:http");
    const { mkdirSync, writeFileSync } = require("node:fs");
    mkdirSync(${JSON.stringify(join(root, "var/run"))}, { recursive: true });
    writeFileSync(${JSON.stringify(join(root, "pid"))}, String(process.pid));
    writeFileSync(${JSON.stringify(join(root, "environ"))}, JSON.stringify(process.env));
    const bodies = { "/version": { Version: "20.10.24", ApiVersion: "1.41" }, "/info": { OSType: "linux", NCPU: 2, MemTotal: 1e9, Architecture: "x86_64", OperatingSystem: "Debian", ServerVersion: "20.10.24", SecurityOptions: [] } };
    http.createServer((request, response) => {
      response.setHeader("Api-Version", "1.41").setHeader("Ostype", "linux").setHeader("Server", "Docker/20.10.24 (linux)");
      const path = request.url.replace(/^\\/v[\\d.]+/, "");
      response.end(path === "/_ping" ? "OK" : JSON.stringify(bodies[path] ?? {}));
    }).listen(${JSON.stringify(join(root, "var/run/docker.sock"))});
  `;
  return `exec "${process.execPath}" -e '${program}'`;
}

function killEngine(): void {
  process.kill(Number(readFileSync(join(machine.root, "pid"), "utf8")));
}

describe("canSetUp", () => {
  async function could(changes: Partial<SetUpSurroundings>): Promise<boolean> {
    const surroundings = { ...machine.surroundings, ...changes };
    return canSetUp(surroundings, await checkDocker(surroundings));
  }

  it("says yes on Debian as root", async () => {
    expect(await could({})).toBe(true);
  });

  it("says yes on what is like Debian", async () => {
    machine.write("etc/os-release", 'ID=linuxmint\nID_LIKE="ubuntu debian"\n');
    expect(await could({})).toBe(true);
  });

  it("says no to another Linux, another user, another system", async () => {
    expect(await could({ uid: 1000 })).toBe(false);
    expect(await could({ platform: "darwin" })).toBe(false);
    machine.write("etc/os-release", "ID=fedora\n");
    expect(await could({})).toBe(false);
  });

  it("says no where somebody pointed to a certain engine", async () => {
    const { env } = machine.surroundings;
    expect(await could({ host: "unix:///nowhere/docker.sock" })).toBe(false);
    expect(await could({ env: { ...env, DOCKER_HOST: "unix:///nowhere/docker.sock" } })).toBe(false);
  });
});

describe("setUpMachine", () => {
  it("throws what the preflight says where it can do nothing", async () => {
    const attempt = setUpMachine({ ...machine.surroundings, uid: 1000 });
    await expect(attempt).rejects.toMatchObject({ code: expect.stringMatching(/^docker-not-(installed|running)$/) });
    expect(machine.calls).toEqual([]);
  });

  it("installs Docker Engine, starts it in a session of its own, and gives it no secret", async () => {
    const bin = join(machine.root, "bin");
    // "Installing" is what brings the commands.
    machine.command("later-dockerd", engineScript(machine.root));
    machine.command(
      "apt-get",
      `case "$*" in *docker.io*) cp "${bin}/later-dockerd" "${bin}/dockerd"; cp "${bin}/later-dockerd" "${bin}/docker";; esac`,
    );
    const env = { ...machine.surroundings.env, HF_TOKEN: "hf_canary" };

    const ready = await setUpMachine({ ...machine.surroundings, env });
    try {
      expect(ready.endpoint.socketPath).toBe(join(machine.root, "var/run/docker.sock"));
      expect(machine.calls.slice(0, 3)).toEqual([
        "apt-get -o DPkg::Lock::Timeout=120 update",
        "apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends docker.io iptables ca-certificates",
        "later-dockerd",
      ]);
      expect(machine.messages).toContain("Starting Docker Engine");
      expect(readFileSync(join(machine.root, "environ"), "utf8")).not.toContain("hf_canary");

      // A second time there is nothing to do.
      const before = machine.calls.length;
      expect((await setUpMachine(machine.surroundings)).state).toBe("ready");
      expect(machine.calls).toHaveLength(before);
    } finally {
      killEngine();
    }
  });

  it("only starts an engine that is installed", async () => {
    machine.command("dockerd", engineScript(machine.root));
    machine.command("docker", "");
    await setUpMachine(machine.surroundings);
    killEngine();
    expect(machine.calls).toEqual(["dockerd"]);
  });

  it("leaves starting to systemd where that is the init", async () => {
    machine.write("run/systemd/system/.keep", "");
    machine.command("dockerd", engineScript(machine.root));
    machine.command("docker", "");
    machine.command("systemctl", "dockerd > /dev/null 2>&1 &");
    await setUpMachine(machine.surroundings);
    killEngine();
    expect(machine.calls).toEqual(["systemctl start docker", "dockerd"]);
  });

  it("tells which command failed, with its last lines", async () => {
    machine.command("apt-get", 'echo "E: The repository has no Release file." >&2; exit 100');
    await expect(setUpMachine(machine.surroundings)).rejects.toMatchObject({
      code: "setup-failed",
      message: expect.stringMatching(/apt-get .*update.*exit code 100.*E: The repository has no Release file\./),
      details: { lines: ["E: The repository has no Release file."] },
    });
    expect(machine.log("setup.log")).toContain("no Release file");
  });

  it("tells why an engine doesn't stay up", async () => {
    machine.command("dockerd", 'echo "failed to start daemon: Devices cgroup is not mounted" >&2; exit 1');
    machine.command("docker", "");
    await expect(setUpMachine(machine.surroundings)).rejects.toMatchObject({
      code: "setup-failed",
      message: "`dockerd` failed (exit code 1): failed to start daemon: Devices cgroup is not mounted",
    });
  });
});
