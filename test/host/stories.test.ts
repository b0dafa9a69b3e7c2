import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EngineContext } from "../../src/lib/context";
import { currentBuild } from "../../src/lib/docker/build/lock";
import { imageState } from "../../src/lib/docker/build/state";
import { isAlive } from "../../src/lib/is-alive";
import { LABELS } from "../../src/lib/names";
import { HeldDocker } from "../e2e/held-docker";
import { SecondEngine } from "../e2e/second-engine";
import { exec, openTestBed, torbiz } from "../e2e/torbiz";
import { FaultySocket } from "../faulty-socket";
import { builtExtension } from "./built-extension";
import { RaycastHost, type CommandView } from "./raycast";
import { commandEnv, eventually, LONG, ONLINE } from "./real-share";

/**
 * Whole stories with the built commands, the real engine, the real Petals and the real model, in the order in which a person
 * meets them.
 */

const MODEL = "SmolLM2 135M Instruct";

let context: EngineContext;
let docker: string;
let host: RaycastHost;
let held: HeldDocker;

beforeAll(async () => {
  ({ context, docker } = await openTestBed());
  // An earlier run's choice would be offered first.
  rmSync(join(context.paths.run, `last-choice-${context.names.instance}.json`), { force: true });
  held = new HeldDocker(docker);
  // A launcher's PATH may lead to another version of docker, which packs the same files differently: with it none of the
  // layers that other suites have built would be used.
  const env = { ...commandEnv(), PATH: `${held.folder}:/usr/bin:/bin:/usr/sbin:/sbin` };
  host = await RaycastHost.open({ extension: await builtExtension(), env });
});

afterAll(async () => {
  await host.close();
  await torbiz(["stop"]);
  held?.remove();
});

/** What the build that runs was started as. */
async function buildCommand(): Promise<{ pid: number; command: string }> {
  const { pid } = currentBuild(context.paths, context.names) ?? { pid: 0 };
  const { stdout } = await exec("ps", ["-ww", "-o", "command=", "-p", String(pid)]);
  return { pid, command: stdout };
}

async function cancelBuild(view: CommandView): Promise<void> {
  const { pid } = await buildCommand();
  expect(pid).toBeGreaterThan(0);
  await view.run("Cancel Build");
  await view.waitFor(() => view.toast()?.title === "The Build Was Cancelled", LONG);
  expect(host.alerts.at(-1)?.title).toBe("Cancel the Build?");
  expect(currentBuild(context.paths, context.names)).toBeUndefined();
  await eventually(() => expect(isAlive(pid)).toBe(false));
}

async function containers(): Promise<string[]> {
  return (await context.engine.list(`${LABELS.instance}=${context.names.instance}`)).map(
    ({ Names: [name = ""] }) => name,
  );
}

test("a build that is cancelled has ended, and leads back to the first screen", async () => {
  if (await context.engine.image(context.names.image)) await exec(docker, ["rmi", context.names.image]);
  held.hold();
  const view = await host.launch("share-gpu");
  await view.run("Build Image", { item: "1. Build the Image" });
  await view.waitFor("Building the Image");
  await cancelBuild(view);
  held.release();
  await view.waitFor("Before Sharing");
  expect(await context.engine.image(context.names.image)).toBeUndefined();
  await view.closeWindow();
});

test("from nothing: the build goes on without its window, and its end leads to the choice", async () => {
  held.hold();
  const first = await host.launch("share-gpu");
  await first.waitFor("1. Build the Image");
  expect(first.text()).toMatch(/Time: .*minutes[^]*Disk: \d/);
  expect(first.text()).toMatch(/Docker on a Mac cannot reach the GPU|The container computes on the CPU/);
  await first.run("Build Image");
  await first.waitFor(/Building the Image[^]*Step.*\d+ of \d+/, LONG);
  await first.closeWindow();

  expect((await host.refresh("menu-bar")).title).toMatch(/^Building \d+\/\d+$/);
  const second = await host.launch("share-gpu");
  await second.waitFor(/Building the Image[^]*Step.*\d+ of \d+/);
  held.release();
  await second.waitFor("Models", { timeoutMs: 850_000 }); // where no other suite has built, all of it is made
  await eventually(() => expect(second.toast()).toMatchObject({ style: "SUCCESS", title: "The Image Is Built" }));
  await eventually(() => expect(host.menuBar("menu-bar")?.title).toBe("Image Built"));
  expect((await context.engine.image(context.names.image))?.labels[LABELS.managed]).toBe("1");
  await second.closeWindow();
});

test("choose, share, watch, stop", async () => {
  const view = await host.launch("share-gpu");
  await view.waitFor(MODEL);
  await view.press("enter");
  await view.waitFor(/Stage \d of \d/, LONG);
  await view.waitFor(ONLINE, LONG);
  await view.select("Peer");
  await view.waitFor(/\/ip4\/127\.0\.0\.1\/tcp\/\d+\/p2p\/\w{40}/);
  expect(view.items().map(({ title, subtitle }) => `${title} · ${subtitle}`)).toContain("Blocks · 30 of 30");
  expect((await host.refresh("menu-bar")).title).toBe("Sharing");
  expect((await torbiz(["status"])).last).toMatchObject({ state: "online", model: "smollm2-135m-instruct" });

  await view.run("Stop Sharing");
  await view.waitFor("Last Choice", LONG);
  await eventually(() => expect(view.toast()?.title).toMatch(/^Stopped in \d+\.\d s\. Peers were told\.$/));
  await eventually(() => expect(host.menuBar("menu-bar")?.title).toBe(""));
  expect(await containers()).toEqual([]);
  await view.closeWindow();
});

test("an image of an older Torbiz shares, and is brought up to date when it is wanted", async () => {
  const { image } = context.names;
  const folder = mkdtempSync(join(tmpdir(), "torbiz-older-"));
  writeFileSync(join(folder, "Dockerfile"), `FROM ${image}\nLABEL ${LABELS.inputs}="of an older Torbiz"\n`);
  await exec(docker, ["build", "--tag", image, folder]);
  rmSync(folder, { recursive: true });
  expect(await imageState(context)).toBe("outdated");

  const view = await host.launch("share-gpu");
  await view.waitFor("- Update Image");
  await view.press("enter");
  await view.waitFor(ONLINE, LONG);
  await view.run("Stop Now");
  await view.waitFor("Last Choice", LONG);
  expect(host.alerts.at(-1)?.title).toBe("Stop Now?");
  await eventually(() => expect(view.toast()?.title).toMatch(/not told/));
  expect(await containers()).toEqual([]);

  await view.run("Update Image", { item: "Update Image" });
  await view.waitFor("Building the Image");
  await view.waitFor("Last Choice", LONG);
  expect(view.text()).not.toContain("Update Image");
  expect(await imageState(context)).toBe("current");

  await view.run("Rebuild Image");
  await view.waitFor("Building the Image", LONG);
  expect(host.alerts.at(-1)?.title).toBe("Rebuild the Image?");
  expect((await buildCommand()).command).toContain("--no-cache");
  await cancelBuild(view);
  await view.waitFor("Last Choice");
  expect(await imageState(context)).toBe("current");
  await view.closeWindow();
});

test("a share that a terminal started is seen in the menu bar, and stopped from there under an open view", async () => {
  expect((await torbiz(["share"])).last).toMatchObject({ ok: true, state: "online" });
  expect(await host.refresh("menu-bar")).toMatchObject({ title: "Sharing" });
  const view = await host.launch("share-gpu");
  await view.waitFor(ONLINE);

  const menu = await host.openMenu("menu-bar");
  await menu.waitFor("Stop Sharing");
  await menu.click("Stop Sharing");
  await view.waitFor("Last Choice", LONG);
  await eventually(() => expect(host.huds.at(-1)).toMatch(/Peers were told\./));
  expect((await torbiz(["status"])).last).toMatchObject({ state: "absent" });
  await view.closeWindow();
});

test("two commands share at once: one container, and both see it", async () => {
  const other = await RaycastHost.open({ extension: await builtExtension(), env: commandEnv() });
  try {
    const views = [await host.launch("share-gpu"), await other.launch("share-gpu")];
    for (const view of views) await view.waitFor("Last Choice");
    await Promise.all(views.map((view) => view.press("enter")));
    for (const view of views) await view.waitFor(ONLINE, LONG);
    expect(await containers()).toHaveLength(1);
  } finally {
    await other.close();
  }
});

test("the engine falls silent and comes back under an open view and the menu bar", async () => {
  const folder = mkdtempSync(join(tmpdir(), "torbiz-proxy-"));
  const path = join(folder, "docker.sock");
  const proxy = new FaultySocket(path, context.endpoint.socketPath ?? "");
  await proxy.start();
  const away = await RaycastHost.open({
    extension: await builtExtension(),
    env: commandEnv(),
    preferences: { dockerHost: `unix://${path}` },
  });
  try {
    const view = await away.launch("share-gpu");
    await view.waitFor(ONLINE, LONG);
    expect((await away.refresh("menu-bar")).title).toBe("Sharing");

    await proxy.stop();
    await view.waitFor("Docker Isn't Running");
    const menu = await away.refresh("menu-bar");
    expect(menu.title).toBe("Sharing?");
    expect(menu.text).toMatch(/Last Known: Sharing/);

    await proxy.start();
    await view.waitFor(ONLINE);
    expect((await away.refresh("menu-bar")).title).toBe("Sharing");
  } finally {
    await away.close();
    await proxy.stop();
    rmSync(folder, { recursive: true });
  }
});

test("changing the model ends the share, and leads to the choice", async () => {
  const view = await host.launch("share-gpu");
  await view.waitFor(ONLINE, LONG);
  await view.run("Change Model…");
  await view.waitFor("Last Choice", LONG);
  expect(host.alerts.at(-1)?.title).toBe("Stop and Choose Another Model?");
  await eventually(() => expect(view.toast()?.title).toContain("Peers were told."));
  expect(await containers()).toEqual([]);
  await view.closeWindow();
});

// Only there can a test start an engine of its own.
if (process.platform === "linux" && process.getuid?.() === 0) {
  test("the engine starts, stops and starts again under an open view, which goes on by itself", async () => {
    const engine = new SecondEngine();
    const elsewhere = await RaycastHost.open({
      extension: await builtExtension(),
      env: commandEnv(),
      preferences: { dockerHost: `unix://${engine.socket}` },
    });
    try {
      const view = await elsewhere.launch("share-gpu");
      await view.waitFor("Docker Isn't Running");
      engine.start();
      await view.waitFor("1. Build the Image", LONG);
      await engine.stop();
      await view.waitFor("Docker Isn't Running", LONG);
      engine.start();
      await view.waitFor("1. Build the Image", LONG);
    } finally {
      await elsewhere.close();
      await engine.remove();
    }
  });
}
