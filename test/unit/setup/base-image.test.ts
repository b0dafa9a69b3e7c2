import { join } from "node:path";
import type { Endpoint } from "../../../src/lib/docker/endpoint";
import { BASE_IMAGE_STAND_IN, ensureBaseImage } from "../../../src/lib/setup/base-image";
import type { SetUpSurroundings } from "../../../src/lib/setup/surroundings";
import { MachineFolder } from "./machine-folder";

const ENDPOINT: Endpoint = { url: "unix:///engine.sock", socketPath: "/engine.sock", source: "socket" };

let machine: MachineFolder;
beforeEach(() => {
  machine = new MachineFolder();
  machine.write(
    "checkout/docker/Dockerfile.macos",
    "# ...\nARG BASE_IMAGE=python:3.11-slim-bookworm\nFROM ${BASE_IMAGE}\n",
  );
});
afterEach(() => machine.remove());

function ensure(changes: Partial<SetUpSurroundings> = {}): Promise<string> {
  return ensureBaseImage({
    ...machine.surroundings,
    ...changes,
    endpoint: ENDPOINT,
    runtimeFiles: join(machine.root, "checkout"),
  });
}

/** A docker command whose engine has these images; `import` keeps what comes in, for the test to look at. */
function docker({ images = [] as string[], pull = "exit 1" }): void {
  machine.command(
    "docker",
    `case "$*" in
      ${images.map((image) => `*"images --quiet ${image}") echo 0123456789ab ;;`).join("\n")}
      *" images --quiet "*) ;;
      *" pull "*) ${pull} ;;
      *" import "*) cat > "${machine.root}/imported"; echo sha256:cafe ;;
    esac`,
  );
}

const called = (word: string) => machine.calls.filter((call) => call.includes(word));

it("uses the image that is there, and asks no registry", async () => {
  docker({ images: ["python:3.11-slim-bookworm", BASE_IMAGE_STAND_IN] });
  expect(await ensure()).toBe("python:3.11-slim-bookworm");
  expect(called(" pull ")).toEqual([]);
});

it("uses the stand-in that an earlier set-up made", async () => {
  docker({ images: [BASE_IMAGE_STAND_IN] });
  expect(await ensure()).toBe(BASE_IMAGE_STAND_IN);
  expect(called(" pull ")).toEqual([]);
});

it("pulls the Dockerfile's own base image from the engine that was chosen", async () => {
  docker({ pull: "echo Pulling; exit 0" });
  expect(await ensure()).toBe("python:3.11-slim-bookworm");
  expect(called(" pull ")).toEqual(["docker --host unix:///engine.sock pull python:3.11-slim-bookworm"]);
});

it("makes the stand-in from this machine's own apt sources where no registry answers", async () => {
  docker({ pull: 'echo "Error response from daemon: connection refused" >&2; exit 1' });
  machine.write("etc/apt/sources.list.d/debian.sources", "Types: deb\n");
  machine.command("mmdebstrap", "echo a whole system");
  expect(await ensure()).toBe(BASE_IMAGE_STAND_IN);
  expect(called("mmdebstrap")).toEqual([
    "mmdebstrap --variant=minbase --include=python3,python3-venv,python3-pip,ca-certificates bookworm - " +
      join(machine.root, "etc/apt/sources.list.d/debian.sources"),
  ]);
  expect(called(" import ")).toEqual([
    "docker --host unix:///engine.sock import --change LABEL com.torbiz.managed=1 -",
  ]);
  expect(called(" tag ")).toEqual([`docker --host unix:///engine.sock tag sha256:cafe ${BASE_IMAGE_STAND_IN}`]);
  expect(machine.messages.join()).toContain("No image registry answers");
});

it("takes Debian's default mirror on a system of another release: its own sources have another Python", async () => {
  docker({});
  machine.write("etc/os-release", "ID=debian\nVERSION_CODENAME=trixie\n");
  machine.write("etc/apt/sources.list", "deb ...\n");
  machine.command("mmdebstrap", "echo a whole system");
  await ensure();
  expect(called("mmdebstrap")[0]).toMatch(/ bookworm -$/);
});

it("never names an image that arrived in part", async () => {
  docker({});
  machine.command("mmdebstrap", 'echo half a system; echo "E: the mirror went away" >&2; exit 25');
  await expect(ensure()).rejects.toMatchObject({
    code: "setup-failed",
    message: expect.stringMatching(/mmdebstrap.*exit code 25.*E: the mirror went away/),
  });
  expect(called(" tag ")).toEqual([]);
  expect(called(" rmi ")).toEqual(["docker --host unix:///engine.sock rmi sha256:cafe"]);
});

it("tells that the base image can't be had where no stand-in can be made", async () => {
  docker({ pull: 'echo "Error response from daemon: connection refused" >&2; exit 1' });
  await expect(ensure({ uid: 1000 })).rejects.toMatchObject({
    code: "base-image-unavailable",
    message: expect.stringContaining("connection refused"),
  });
});

it("takes nothing in place of an image that somebody named", async () => {
  docker({ images: [BASE_IMAGE_STAND_IN, "python:3.11-slim-bookworm"] });
  const env = { ...machine.surroundings.env, TORBIZ_BASE_IMAGE: "mirror.example/python:3.11" };
  await expect(ensure({ env })).rejects.toMatchObject({
    code: "base-image-unavailable",
    message: expect.stringContaining("mirror.example/python:3.11"),
  });
});
