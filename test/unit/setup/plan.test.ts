import { join } from "node:path";
import { resolveNames } from "../../../src/lib/names";
import { BASE_IMAGE_STAND_IN } from "../../../src/lib/setup/base-image";
import { setUpMachine } from "../../../src/lib/setup/machine";
import { planSetUp } from "../../../src/lib/setup/plan";
import type { SetUpSurroundings } from "../../../src/lib/setup/surroundings";
import { MachineFolder } from "./machine-folder";

const STAND_IN = "make a base image from Debian's packages with mmdebstrap (only if no image registry answers)";
const names = resolveNames({});

let machine: MachineFolder;
beforeEach(() => {
  machine = new MachineFolder();
  machine.write("checkout/docker/Dockerfile.macos", "ARG BASE_IMAGE=python:3.11-slim-bookworm\n");
});
afterEach(() => machine.remove());

function plan(changes: Partial<SetUpSurroundings> = {}): Promise<string[]> {
  return planSetUp({ ...machine.surroundings, ...changes, names, runtimeFiles: join(machine.root, "checkout") });
}

/** Debian's own Python 3.11. */
function installPython(canMakeVenv: boolean): void {
  const path = join(machine.root, "usr/bin/python3.11");
  machine.command("../usr/bin/python3.11", `echo '${JSON.stringify({ path, version: "3.11.2", canMakeVenv })}'`);
  machine.surroundings.env.PATH += `:${join(machine.root, "usr/bin")}`;
}

/** Runs an engine that has these images while `look` looks. */
async function withEngine(images: readonly string[], look: () => Promise<void>): Promise<void> {
  machine.command("dockerd", machine.engineScript(images));
  machine.command("docker", "");
  await setUpMachine(machine.surroundings);
  try {
    await look();
  } finally {
    machine.killEngine();
  }
}

it("names all that an empty machine needs, and touches nothing", async () => {
  installPython(false);
  expect(await plan()).toEqual([
    "install Docker Engine (docker.io)",
    "start Docker Engine",
    "install python3.11-venv",
    STAND_IN,
  ]);
  expect(machine.calls.join("\n")).not.toMatch(/^(apt-get|dockerd|docker|mmdebstrap)\b/m);
});

it("only starts an engine that is installed", async () => {
  installPython(true);
  machine.command("dockerd", "");
  machine.command("docker", "");
  expect(await plan()).toEqual(["start Docker Engine", STAND_IN]);
});

it("makes no base image where somebody named one", async () => {
  installPython(true);
  const env = { ...machine.surroundings.env, TORBIZ_BASE_IMAGE: "mirror.example/python:3.11" };
  expect(await plan({ env })).toEqual(["install Docker Engine (docker.io)", "start Docker Engine"]);
});

it.each([names.image, "python:3.11-slim-bookworm", BASE_IMAGE_STAND_IN])(
  "is empty with all there, as %s is",
  (image) => {
    installPython(true);
    return withEngine([image], async () => expect(await plan()).toEqual([]));
  },
);

it("names the base image where the engine has none", () => {
  installPython(true);
  return withEngine([], async () => expect(await plan()).toEqual([STAND_IN]));
});

it("is empty for a user who may install nothing, and leaves failing to what fails", () => {
  installPython(false);
  return withEngine([], async () => expect(await plan({ uid: 1000 })).toEqual([]));
});

it("leaves Docker out where it can't be set up", async () => {
  installPython(false);
  const env = { ...machine.surroundings.env, DOCKER_HOST: `unix://${machine.root}/none.sock` };
  expect(await plan({ env })).toEqual(["install python3.11-venv"]);
  expect(await plan({ uid: 1000 })).toEqual([]);
});

it("names nothing for a Python that isn't there", async () => {
  expect(await plan()).toEqual(["install Docker Engine (docker.io)", "start Docker Engine", STAND_IN]);
});
