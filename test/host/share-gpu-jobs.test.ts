import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { acquireLock } from "../../src/lib/process-lock";
import { rememberChoice } from "../../src/lib/sharing/last-choice";
import { shareLock } from "../../src/lib/sharing/stop-request";
import { scriptedEngine, type ScriptedEngine } from "../unit/docker/scripted-engine";
import { builtExtension } from "./built-extension";
import { RaycastHost, type CommandView } from "./raycast";
import { answering, buildThatEnded, buildThatRuns, container, ground, LABELS, type Ground } from "./scripted-share";

/** What Share GPU does besides showing: builds and starts that it begins, and what becomes of them. */

let extension: string;
let folder: string;
let here: Ground;
let host: RaycastHost;
let engine: ScriptedEngine;
const children: ChildProcess[] = [];

beforeAll(async () => {
  extension = await builtExtension();
}, 300_000);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "torbiz-jobs-"));
  here = ground(join(folder, "home"));
});

afterEach(async () => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  await host.close();
  await engine.close();
  rmSync(folder, { recursive: true });
});

interface OpenOptions {
  image?: boolean;
  share?: object;
  preferences?: Record<string, unknown>;
  notActivated?: string[];
}

async function open({ image = true, share, preferences, notActivated }: OpenOptions = {}): Promise<CommandView> {
  const socket = join(folder, "docker.sock");
  const content = { ...(image && { image: {} }), share: () => share };
  engine = await scriptedEngine(answering(here, content), socket);
  host = await RaycastHost.open({
    extension,
    env: { HOME: folder, ...here.env },
    preferences: { dockerHost: `unix://${socket}`, ...preferences },
    notActivated,
  });
  return host.launch("share-gpu", { arguments: { model: "" } });
}

/** A process that passes for the build's script. */
function builder(): number {
  const child = spawn("bash", ["-c", "exec -a build-docker-macos.sh sleep 600"], { stdio: "ignore" });
  children.push(child);
  return child.pid ?? 0;
}

const titles = (view: CommandView) => view.actions().map(({ title }) => title);

it("opens a menu bar that was never opened as soon as a start is on its way", async () => {
  const view = await open({ notActivated: ["menu-bar"] });
  await view.waitFor("Models");
  // Somebody else's start: this one waits for it, and has not come to its end.
  const lock = await acquireLock(shareLock(here));
  await view.run("Share", { item: /SmolLM2/ });
  await host.waitFor(() => host.menuBar("menu-bar") !== undefined);
  expect(view.toast()?.style).toBe("ANIMATED");
  lock.release();
});

it("tells above the models that an update failed, until something is shared", async () => {
  buildThatEnded(here, "torbiz: failed");
  const view = await open();
  await view.waitFor("Build Failed");
  expect(titles(view).slice(0, 3)).toEqual(["Retry", "View Log", "Copy Build Command"]);
  expect(
    view
      .items()
      .map(({ title }) => title)
      .slice(0, 2),
  ).toEqual(["Build Failed", "SmolLM2 135M Instruct"]);
  rememberChoice(here, { model: "smollm2-135m-instruct", swarm: "private" });
  await view.waitFor((screen) => !JSON.stringify(screen).includes("Build Failed"));
});

it("follows a build that took another's place", async () => {
  const first = builder();
  buildThatRuns(here, 5, first);
  const view = await open({ image: false });
  await view.waitFor(/Step: \d+ of \d+/);
  const step = /Step: (\d+) of/.exec(view.text())?.[1];
  buildThatRuns(here, 5, builder());
  children[0]?.kill("SIGKILL");
  await new Promise((resolve) => children[0]?.once("exit", resolve));
  buildThatRuns(here, 90, children[1]?.pid);
  await view.waitFor(() => {
    const now = /Step: (\d+) of/.exec(view.text())?.[1];
    return now !== undefined && now !== step;
  });
});

it("offers no action twice", async () => {
  const view = await open({ preferences: { port: "eighty" } });
  await view.waitFor("The preference Port can't be used");
  expect(titles(view)).toEqual(["Open Preferences", "Try Again", "Open Guide"]);
});

it("says that a last choice of more blocks than fit doesn't fit", async () => {
  rememberChoice(here, { model: "smollm2-135m-instruct", swarm: "private", blocks: 31 });
  const view = await open();
  await view.waitFor("Last Choice");
  expect(view.text()).toContain("Fit: Doesn't Fit");
});

it("speaks of a check of peers only in the public swarm", async () => {
  const share = (swarm: string) =>
    container({ Status: "running", Running: true }, { labels: { ...LABELS, "com.torbiz.swarm": swarm } });
  const view = await open({ share: share("private") });
  await view.waitFor("Stage 1 of 6");
  expect(view.text()).not.toContain("Checking whether peers can connect");
  await host.close();
  await engine.close();
  await (await open({ share: share("public") })).waitFor("Stage 1 of 7");
});
