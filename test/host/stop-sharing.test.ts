import { spawn, type ChildProcess } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { execa } from "execa";
import { buildFiles } from "../../src/lib/docker/build/lock";
import { CONTRACT } from "../../src/lib/docker/build/state";
import { scriptedSocket } from "../unit/docker/scripted-engine";
import { builtExtension } from "./built-extension";
import { RaycastHost } from "./raycast";
import { ground, LABELS, report, type Ground } from "./scripted-share";

/** Stop Sharing against the real engine, with containers of ours that behave as a test wants. */

const IMAGE = process.env.TORBIZ_BASE_IMAGE ?? "torbiz-base:bookworm";
const ROOT = resolve(import.meta.dirname, "../..");

let extension: string;
let here: Ground;
let host: RaycastHost;
let builder: ChildProcess | undefined;

const open = (preferences: Record<string, unknown> = {}) => RaycastHost.open({ extension, env: here.env, preferences });

beforeAll(async () => {
  extension = await builtExtension();
}, 300_000);

beforeEach(async () => {
  here = ground(mkdtempSync(join(tmpdir(), "torbiz-stop-")));
  await removeContainer();
  host = await open();
});

afterEach(async () => {
  await host.close();
  builder?.kill("SIGKILL");
  builder = undefined;
  await removeContainer();
  rmSync(here.paths.home, { recursive: true });
});

async function removeContainer(): Promise<void> {
  await execa("docker", ["rm", "--force", here.names.container], { reject: false });
}

/** A container of our name that runs a shell script, and tells what the seeder would tell. */
async function runContainer(
  script: string,
  { seeder = {}, labels = LABELS }: { seeder?: object; labels?: Record<string, string> } = {},
) {
  const options = Object.entries(labels).flatMap(([name, value]) => ["--label", `${name}=${value}`]);
  const status = `cat <<'END' > /tmp/status.json\n${JSON.stringify(report(seeder))}\nEND\n`;
  await execa("docker", [
    ...["run", "--detach", "--name", here.names.container, "--stop-signal", "SIGINT", ...options],
    ...["--health-cmd", "cat /tmp/status.json", "--health-interval", "1s"],
    ...["--entrypoint", "bash", IMAGE, "-c", status + script],
  ]);
}

const LISTENS = `trap 'echo "INFO torbiz.seeder: Announced OFFLINE: blocks 0 to 29"; exit 0' INT
while :; do sleep 0.1; done`;
const FINISHES = `trap 'echo "x INFO torbiz.seeder: Announced OFFLINE: blocks 0 to 29"
echo "x INFO torbiz.finishing: No answer is on its way any more"; exit 0' USR1
while :; do sleep 0.1; done`;
const IGNORES = "trap '' INT TERM; while :; do sleep 0.1; done";

/** Whether the container is there. */
async function isThere(): Promise<boolean> {
  const { exitCode } = await execa("docker", ["inspect", here.names.container], { reject: false });
  return exitCode === 0;
}

async function stop(context?: Record<string, unknown>): Promise<void> {
  const command = await host.launch("stop-sharing", { context });
  await command.ended;
}

/** What a person sees and what is done, in order. */
const order = () =>
  host.events
    .filter(({ command }) => command === "stop-sharing")
    .map(({ event, name, style }) => [event, name, style].filter(Boolean).join(" "));

describe("Stop Sharing", () => {
  it("says that nothing is shared", async () => {
    await stop();
    expect(host.huds).toEqual(["ℹ️ Nothing is shared."]);
  });

  it("tells peers, says so, and has done everything before it says it", async () => {
    await runContainer(LISTENS, { seeder: { sessions: 2 } });
    await seenByMenuBar("Sharing · 2");
    await stop();
    expect(host.huds).toEqual([expect.stringMatching(/^✅ Stopped in \d+\.\d s\. Peers were told\.$/)]);
    expect(await isThere()).toBe(false);
    expect(order()[0]).toBe("toast ANIMATED");
    expect(order().slice(-2)).toEqual(["launch menu-bar", "hud"]);
    await host.waitFor(() => host.menuBar("menu-bar")?.tooltip === "Torbiz: Not Sharing");
  });

  it("kills what doesn't listen, and says that peers were not told", async () => {
    await runContainer(IGNORES);
    await stop();
    expect(host.huds).toEqual([
      "⚠️ It didn't end within 30 s and was killed. Peers were not told: they will notice within minutes.",
    ]);
    expect(await isThere()).toBe(false);
  });

  it("kills at once when that is asked for in the menu bar", async () => {
    await runContainer(IGNORES);
    await seenByMenuBar("Sharing");
    const menu = await host.openMenu("menu-bar");
    await menu.waitFor("Stop Now");
    await menu.click("Stop Now");
    await host.waitFor(() => host.huds.length > 0);
    expect(host.huds).toEqual(["⚠️ Killed at once. Peers were not told: they will notice within minutes."]);
    expect(await isThere()).toBe(false);
  });

  it("finishes when that is asked for in the menu bar, by itself; what has finished is cleared and told of", async () => {
    await runContainer(FINISHES, { labels: { ...LABELS, "com.torbiz.contract": String(CONTRACT) } });
    await seenByMenuBar("Sharing");
    const menu = await host.openMenu("menu-bar");
    await menu.click("Finish and Stop");
    await host.waitFor(() => host.huds.length > 0);
    expect(host.huds).toEqual(["✅ It finishes by itself: no new session begins, and it ends after the last answer."]);
    await execa("docker", ["wait", here.names.container]);
    await stop();
    expect(host.huds.at(-1)).toBe("ℹ️ Finished: every answer came to its end. Peers were told.");
    expect(await isThere()).toBe(false);
  });

  it("clears what has ended by itself, and keeps its log", async () => {
    await runContainer("echo last words; exit 3");
    await execa("docker", ["wait", here.names.container]);
    expect(await host.refresh("menu-bar")).toMatchObject({ title: "Ended" });
    await stop();
    expect(host.huds).toEqual(["ℹ️ It had ended already, with exit code 3. Its log is kept."]);
    expect(await isThere()).toBe(false);
  });

  it("cancels a build, whoever started it", async () => {
    const bin = join(here.paths.home, "bin");
    mkdirSync(bin);
    writeFileSync(join(bin, "docker"), '#!/bin/sh\ncase "$1" in build) exec sleep 600 ;; info) ;; *) exit 1 ;; esac\n');
    chmodSync(join(bin, "docker"), 0o755);
    const script = join(ROOT, "docker", "build-docker-macos.sh");
    builder = spawn("bash", [script, "--tag", here.names.image, "--base-image", IMAGE], {
      env: { ...process.env, ...here.env, PATH: `${bin}:${process.env.PATH}` },
      stdio: "ignore",
    });
    const ended = new Promise((resolve) => builder?.once("exit", resolve));
    const { lock } = buildFiles(here.paths, here.names);
    await host.waitFor(() => existsSync(lock));
    await seenByMenuBar(/^Building \d+\/\d+$/);
    await stop();
    expect(host.huds).toEqual(["✅ The build of the image was cancelled. Finished steps are kept."]);
    expect(await ended).toBe(143);
    expect(await host.refresh("menu-bar")).toMatchObject({ title: "", tooltip: "Torbiz: Not Sharing" });
  });

  it("leaves alone what isn't ours, and says why", async () => {
    // The image has labels of its own.
    await runContainer(LISTENS, { labels: { "com.torbiz.managed": "0" } });
    await stop();
    expect(host.huds).toEqual([]);
    expect(host.toasts.at(-1)).toMatchObject({ style: "FAILURE", title: "Another Container Uses Torbiz's Name" });
    expect(await isThere()).toBe(true);
  });

  it("says in plain words that nothing can be shared without Docker", async () => {
    await host.close();
    host = await open({ dockerHost: join(here.paths.home, "nothing.sock") });
    await stop();
    expect(host.huds).toEqual(["ℹ️ Docker isn't running, so nothing is shared."]);
    expect(host.toasts.filter(({ style }) => style === "FAILURE")).toEqual([]);
  });

  it("doesn't say that nothing is shared when Docker doesn't answer", async () => {
    const mute = await scriptedSocket(() => undefined);
    try {
      await host.close();
      host = await open({ dockerHost: mute.socketPath });
      await stop();
      expect(host.huds).toEqual([]);
      expect(host.toasts.at(-1)).toMatchObject({ style: "FAILURE", title: "Docker Isn't Answering" });
    } finally {
      await mute.close();
    }
  });

  it("works where the menu bar is switched off", async () => {
    await host.close();
    host = await RaycastHost.open({ extension, env: here.env, disabled: ["menu-bar"] });
    await stop();
    expect(host.huds).toEqual(["ℹ️ Nothing is shared."]);
  });
});

/** Waits until the menu bar says so: Docker looks at a container's health once a second. */
async function seenByMenuBar(title: string | RegExp): Promise<void> {
  const end = Date.now() + 30_000;
  for (;;) {
    const menu = await host.refresh("menu-bar");
    if (typeof title === "string" ? menu.title === title : title.test(menu.title)) return;
    if (Date.now() > end) throw new Error(`The menu bar never said ${title}:\n${menu.text}`);
  }
}
