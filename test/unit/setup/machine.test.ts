import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { checkDocker } from "../../../src/lib/docker/preflight";
import { installPackages } from "../../../src/lib/setup/debian";
import { canSetUp, setUpMachine } from "../../../src/lib/setup/machine";
import type { SetUpSurroundings } from "../../../src/lib/setup/surroundings";
import { MachineFolder } from "./machine-folder";

let machine: MachineFolder;
beforeEach(() => {
  machine = new MachineFolder();
});
afterEach(() => machine.remove());

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
    machine.command("later-dockerd", machine.engineScript());
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
      expect(machine.changes).toEqual(["Installed docker.io, iptables, ca-certificates", "Started Docker Engine"]);
      expect(readFileSync(join(machine.root, "environ"), "utf8")).not.toContain("hf_canary");

      // A second time there is nothing to do.
      const before = machine.calls.length;
      expect((await setUpMachine(machine.surroundings)).state).toBe("ready");
      expect(machine.calls).toHaveLength(before);
    } finally {
      machine.killEngine();
    }
  });

  it("only starts an engine that is installed", async () => {
    machine.command("dockerd", machine.engineScript());
    machine.command("docker", "");
    await setUpMachine(machine.surroundings);
    machine.killEngine();
    expect(machine.calls).toEqual(["dockerd"]);
  });

  it("leaves starting to systemd where that is the init", async () => {
    machine.write("run/systemd/system/.keep", "");
    machine.command("dockerd", machine.engineScript());
    machine.command("docker", "");
    machine.command("systemctl", "dockerd > /dev/null 2>&1 &");
    await setUpMachine(machine.surroundings);
    machine.killEngine();
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

  it("waits for another apt that holds a lock of its own", async () => {
    const free = join(machine.root, "free");
    machine.command(
      "apt-get",
      `[ -e "${free}" ] || { touch "${free}"; echo "E: Could not get lock /var/lib/apt/lists/lock." >&2; exit 100; }`,
    );
    await installPackages(machine.surroundings, ["mmdebstrap"]);
    const apt = "apt-get -o DPkg::Lock::Timeout=120";
    expect(machine.calls).toEqual([
      `${apt} update`,
      `${apt} update`,
      `${apt} install -y --no-install-recommends mmdebstrap`,
    ]);
  });

  it("tells why an engine doesn't stay up", async () => {
    machine.command("dockerd", 'echo "failed to start daemon: Devices cgroup is not mounted" >&2; exit 1');
    machine.command("docker", "");
    await expect(setUpMachine(machine.surroundings, { own: 60_000, other: 1_000 })).rejects.toMatchObject({
      code: "setup-failed",
      message: "`dockerd` failed (exit code 1): failed to start daemon: Devices cgroup is not mounted",
    });
  });

  describe("with an engine that never answers", () => {
    beforeEach(() => {
      machine.command("dockerd", `echo $$ > "${machine.root}/pid"; echo "loading"; exec sleep 600`);
      machine.command("docker", "");
    });
    const isRunning = () => existsSync(`/proc/${readFileSync(join(machine.root, "pid"), "utf8").trim()}`);

    it("ends it at the limit and says so", async () => {
      await expect(setUpMachine(machine.surroundings, { own: 3_000, other: 1_000 })).rejects.toMatchObject({
        code: "setup-failed",
        message: "`dockerd` failed (no answer after 3 s): loading",
      });
      expect(isRunning()).toBe(false);
    });

    it("ends it when a person doesn't want to wait", async () => {
      const controller = new AbortController();
      const attempt = setUpMachine({ ...machine.surroundings, signal: controller.signal });
      void attempt.catch(() => undefined);
      while (!existsSync(join(machine.root, "pid"))) await sleep(20);
      controller.abort();
      await expect(attempt).rejects.toMatchObject({ code: "interrupted" });
      expect(isRunning()).toBe(false);
    });
  });
});
