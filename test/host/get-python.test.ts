import { cpSync, existsSync, mkdtempSync, readdirSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSurroundings } from "../../src/lib/context";
import { searchPath } from "../../src/lib/exec";
import { lend, sharedStarter } from "../unit/ask/local-environment";
import { PythonMirror } from "../unit/ask/python-mirror";
import { endAskServer } from "../end-ask-server";
import { builtExtension } from "./built-extension";
import { RaycastHost } from "./raycast";

/** The built Ask Model on a computer without any Python, with a mirror of the one that it may fetch. */

let folder: string;
let home: string;
let mirror: PythonMirror;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "no python "));
  home = join(folder, "home");
  mirror = await PythonMirror.open();
  // What is lent is the model alone: it is not what this is about.
  const { starter } = await sharedStarter();
  lend({ starter }, openSurroundings({ runtimeFiles: folder, env: { TORBIZ_HOME: home } }).paths);
  cpSync(await builtExtension(), join(folder, "extension"), { recursive: true });
  mirror.writeList(join(folder, "extension/assets/runtime"));
}, 900_000);

afterAll(async () => {
  await mirror.close();
  endAskServer({ run: join(home, "run") });
  rmSync(folder, { recursive: true, force: true });
});

/** Every Python at the places where a command looks for one. */
function pythons(): string[] {
  const found = searchPath({ PATH: "/usr/bin:/bin:/usr/sbin:/sbin" }, folder)
    .split(":")
    .filter((place) => existsSync(place))
    .flatMap((place) =>
      readdirSync(place)
        .filter((name) => /^python(3(\.\d+)?)?$/.test(name))
        .map((name) => join(place, name)),
    );
  return [...new Set(found.filter((path) => existsSync(path)).map((path) => realpathSync(path)))];
}

it("brings a Python by one Enter, and answers", async () => {
  const network = Object.entries(process.env).filter(([name]) => /^(PIP_\w+|SSL_CERT_\w+|\w+_PROXY)$/i.test(name));
  const host = await RaycastHost.open({
    extension: join(folder, "extension"),
    env: {
      ...Object.fromEntries(network),
      ...{ HOME: folder, TORBIZ_HOME: home, UV_PYTHON_INSTALL_MIRROR: mirror.url },
    },
    hidden: pythons(),
  });
  try {
    const view = await host.launch("ask-model");
    await view.waitFor("- SmolLM2 135M Instruct");
    await view.search("What is the capital of France?");
    await view.run("Use SmolLM2 135M Instruct and Send", { item: "SmolLM2 135M Instruct" });
    await view.waitFor("SmolLM2 135M Instruct Isn't Ready");
    expect(view.text()).toContain("No Python was found, and 3.10 to 3.14 is needed.");
    expect(view.text()).toContain("Let Torbiz fetch one into its own folder.");
    expect(view.actions()[0]?.title).toBe("Get Python");
    expect(mirror.requests).toEqual([]);
    await view.press("enter");
    await view.waitFor(/Fetching Python 3\.11: \d+ of \d+ MB/);
    await view.waitFor(/SmolLM2 135M Instruct · This Computer · \d+ tokens?/, { timeoutMs: 600_000 });
    expect(view.text()).toContain("> What is the capital of France?");
    expect(mirror.requests).toEqual([""]);
    const [env = ""] = readdirSync(join(home, "envs")).filter((name) => /^local-[0-9a-f]{16}$/.test(name));
    expect(realpathSync(join(home, "envs", env, "bin/python"))).toMatch(join(home, "pythons/cpython-3.11."));
  } finally {
    await host.close();
  }
}, 900_000);
