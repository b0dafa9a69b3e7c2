import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ensureBuildKit } from "../../../scripts/buildkit";
import { MachineFolder } from "../setup/machine-folder";

let machine: MachineFolder;
let folder: string;

beforeEach(() => {
  machine = new MachineFolder();
  folder = join(machine.root, "buildkit");
  docker("26.1.5");
});
afterEach(() => machine.remove());

/** A docker command of that version, whose plugin is where a configuration of its own says. */
function docker(version: string, plugin = '[ -x "$DOCKER_CONFIG/cli-plugins/docker-buildx" ]') {
  machine.command("docker", `case "$1" in buildx) ${plugin} ;; version) echo ${version} ;; esac`);
}

/** An apt that has the package, and a dpkg-deb that unpacks it. */
function packages() {
  machine.command("apt-get", 'case "$*" in *download*) echo deb > docker-buildx_0.13.1_amd64.deb ;; esac');
  const folder = '"$3/usr/libexec/docker/cli-plugins"';
  machine.command("dpkg-deb", `mkdir -p ${folder}; cp "$2" ${folder}/docker-buildx; chmod +x ${folder}/docker-buildx`);
}

const ensure = () => ensureBuildKit(folder, machine.surroundings);
const fetched = () => machine.calls.filter((call) => /^(apt-get|dpkg-deb) /.test(call));

it.each([
  ["its plugin", () => docker("28.2.2", "true")],
  ["a docker command that is old enough", () => docker("20.10.24+dfsg1", "false")],
])("takes what is there: %s", async (_, there) => {
  there();
  expect(await ensure()).toEqual({ DOCKER_BUILDKIT: "1" });
  expect(fetched()).toEqual([]);
  expect(existsSync(folder)).toBe(false);
});

it("fetches Debian's package from where the machine has its own, once, and leaves docker's folders alone", async () => {
  packages();
  machine.write(
    "etc/apt/sources.list.d/debian.sources",
    "URIs: http://mirror/debian\nSuites: bookworm bookworm-updates\n",
  );
  const logins = { auths: { "registry.example": { auth: "c2VjcmV0" } }, credsStore: "pass", credHelpers: { a: "b" } };
  machine.write("root/.docker/config.json", JSON.stringify({ currentContext: "mine", ...logins }));
  machine.write("root/.docker/contexts/meta/0/meta.json", '{"Name":"mine"}');
  machine.write("root/.docker/buildx/current", "{}");
  // What apt was told is gone with the package.
  const seen = join(machine.root, "sources");
  machine.command(
    "apt-get",
    `case "$*" in *download*) cp ../package/etc/sources.list.d/debian.sources "${seen}"; echo deb > docker-buildx_1_amd64.deb ;; esac`,
  );
  const env = await ensure();
  expect(env).toEqual({ DOCKER_BUILDKIT: "1", DOCKER_CONFIG: join(folder, "docker") });
  expect(readFileSync(seen, "utf8")).toBe("URIs: http://mirror/debian\nSuites: trixie trixie-updates\n");
  // Which engine is meant, and no logins.
  expect(readFileSync(join(folder, "docker", "config.json"), "utf8")).toBe('{"currentContext":"mine"}');
  expect(readdirSync(join(folder, "docker")).toSorted()).toEqual(["cli-plugins", "config.json", "contexts"]);
  expect(readFileSync(join(folder, "docker", "contexts", "meta", "0", "meta.json"), "utf8")).toContain("mine");
  expect(existsSync(join(machine.root, "root", ".docker", "cli-plugins"))).toBe(false);
  expect(existsSync(join(folder, "package"))).toBe(false);
  expect(machine.changes).toEqual([expect.stringMatching(/^Fetched Debian's package docker-buildx/)]);
  const calls = fetched().length;
  expect(await ensure()).toEqual(env);
  expect(fetched()).toHaveLength(calls);
});

it("says what is missing where it can't be fetched", async () => {
  machine.surroundings.uid = 1000;
  await expect(ensure()).rejects.toMatchObject({ message: expect.stringContaining("buildx is missing") });
});

it("says so when the package doesn't run here", async () => {
  packages();
  docker("26.1.5", "false");
  await expect(ensure()).rejects.toMatchObject({
    code: "setup-failed",
    message: expect.stringContaining("doesn't run"),
  });
});
