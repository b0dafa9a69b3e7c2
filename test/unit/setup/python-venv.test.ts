import { join } from "node:path";
import { findPython, type PythonRange } from "../../../src/lib/ask/python";
import { ensurePythonVenv } from "../../../src/lib/setup/python-venv";
import { MachineFolder } from "./machine-folder";

const ONLY_311: PythonRange = { oldest: 11, newest: 11 };

let machine: MachineFolder;
beforeEach(() => {
  machine = new MachineFolder();
});
afterEach(() => machine.remove());

/** A Python 3.11 that can make environments as soon as its package is installed. */
function installPython(folder: string, canMakeVenv: boolean): void {
  const marker = join(machine.root, "installed");
  const answer = (able: boolean) =>
    JSON.stringify({ path: join(machine.root, folder, "python3.11"), version: "3.11.2", canMakeVenv: able });
  machine.command(
    join("..", folder, "python3.11"),
    `if [ -e "${marker}" ]; then echo '${answer(true)}'; else echo '${answer(canMakeVenv)}'; fi`,
  );
  machine.command("apt-get", `case "$*" in *install*python3.11-venv) touch "${marker}";; esac`);
  machine.surroundings.env.PATH += `:${join(machine.root, folder)}`;
}

const aptCalls = () => machine.calls.filter((call) => call.startsWith("apt-get"));

it("installs the missing package for Debian's own Python", async () => {
  installPython("usr/bin", false);
  const before = await findPython(machine.surroundings, ONLY_311);
  expect(before.canMakeVenv).toBe(false);
  const after = await ensurePythonVenv(machine.surroundings, ONLY_311, before);
  expect(after).toEqual({ ...before, canMakeVenv: true });
  expect(aptCalls().at(-1)).toMatch(/install -y --no-install-recommends python3\.11-venv$/);
});

it("installs nothing where Python can make environments", async () => {
  installPython("usr/bin", true);
  const python = await findPython(machine.surroundings, ONLY_311);
  expect(await ensurePythonVenv(machine.surroundings, ONLY_311, python)).toEqual(python);
  expect(aptCalls()).toEqual([]);
});

it("leaves a Python alone that isn't Debian's own", async () => {
  installPython("opt/python/bin", false);
  const python = await findPython(machine.surroundings, ONLY_311);
  expect(await ensurePythonVenv(machine.surroundings, ONLY_311, python)).toEqual(python);
  expect(aptCalls()).toEqual([]);
});
