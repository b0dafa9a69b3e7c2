import { join } from "node:path";
import { ensurePythonVenv } from "../../../src/lib/setup/python-venv";
import { MachineFolder } from "./machine-folder";

let machine: MachineFolder;
beforeEach(() => {
  machine = new MachineFolder();
});
afterEach(() => machine.remove());

it("installs nothing where Python can make environments", async () => {
  machine.command("python3.11", "exit 0");
  await ensurePythonVenv(machine.surroundings, join(machine.root, "bin/python3.11"));
  expect(machine.calls).toEqual(["python3.11 -c import ensurepip, venv"]);
});

it("leaves a Python alone that isn't Debian's own", async () => {
  machine.command("python3.11", "exit 1");
  await ensurePythonVenv(machine.surroundings, join(machine.root, "bin/python3.11"));
  expect(machine.calls).toEqual(["python3.11 -c import ensurepip, venv"]);
});

it("installs the missing package for Debian's own", async () => {
  machine.command(join("..", "usr", "bin", "python3.11"), "exit 1");
  await ensurePythonVenv(machine.surroundings, join(machine.root, "usr/bin/python3.11"));
  expect(machine.calls.at(-1)).toBe(
    "apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends python3.11-venv",
  );
});
