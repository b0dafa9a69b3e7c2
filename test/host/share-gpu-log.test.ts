import { execFile } from "node:child_process";
import { connect, createServer, type Server, type Socket } from "node:net";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { resolveNames } from "../../src/lib/names";
import { builtExtension } from "./built-extension";
import { RaycastHost, type CommandView } from "./raycast";
import { LABELS } from "./scripted-share";

/** The log of a real container that stands for a share, in the built Share GPU. */

const INSTANCE = "viewlog";
const IMAGE = process.env.TORBIZ_BASE_IMAGE ?? "python:3.11-slim-bookworm";
/** What our programs write, and more than is kept. The pause: Docker reads the two streams each at its own pace. */
const SAYS = `
  i=0; while [ $i -lt 700 ]; do i=$((i+1)); echo "2026-01-31T12:00:00.000Z INFO torbiz.seeder: line $i"; done
  sleep 1
  echo "2026-01-31T12:00:00.000Z INFO torbiz.seeder: $HOST_HOME/x of hf_0123456789abcdef"
  echo "2026-01-31T12:00:00.000Z WARN petals.server: a warning"
  echo "2026-01-31T12:00:00.000Z ERROR torbiz.seeder: an error" >&2
  while [ ! -e /tmp/more ]; do sleep 0.1; done
  echo "2026-01-31T12:00:00.000Z INFO torbiz.seeder: more"
  sleep 600`;

const exec = promisify(execFile);
const docker = (...args: string[]) => exec("docker", args);
const { container: name } = resolveNames({ TORBIZ_INSTANCE: INSTANCE });

/** Between the view and Docker, so that it can go away. */
let proxy: Server;
const connections = new Set<Socket>();

let folder: string;
let host: RaycastHost;
let view: CommandView;

beforeAll(async () => {
  const extension = await builtExtension();
  folder = mkdtempSync(join(tmpdir(), "torbiz-log-"));
  await docker("rm", "-f", name).catch(() => undefined);
  const labels = Object.entries(LABELS).flatMap(([label, value]) => ["--label", `${label}=${value}`]);
  const options = ["--name", name, "--env", `HOST_HOME=${folder}`, ...labels];
  await docker("run", "-d", "--init", ...options, IMAGE, "sh", "-c", SAYS);
  proxy = createServer((client) => {
    const engine = connect("/var/run/docker.sock");
    for (const socket of [client, engine]) {
      connections.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => (client.destroy(), engine.destroy()));
    }
    client.pipe(engine).pipe(client);
  });
  await listen();
  host = await RaycastHost.open({
    extension,
    preferences: { dockerHost: `unix://${join(folder, "docker.sock")}` },
    env: { HOME: folder, TORBIZ_HOME: join(folder, "home"), TORBIZ_INSTANCE: INSTANCE },
  });
  view = await host.launch("share-gpu", { arguments: { model: "" } });
  await view.run("View Log", { timeoutMs: 60_000 });
  await view.waitFor("an error");
}, 300_000);

afterAll(async () => {
  await host.close();
  proxy.close();
  await docker("rm", "-f", name).catch(() => undefined);
  rmSync(folder, { recursive: true });
}, 60_000);

const listen = () => new Promise<void>((resolve) => void proxy.listen(join(folder, "docker.sock"), resolve));

const shown = () => view.items().map(({ title }) => title);

it("shows the last 500 lines, newest first, without their own times, tokens and the home folder", () => {
  expect(shown()).toHaveLength(500);
  expect(shown()).toContain("INFO torbiz.seeder: ~/x of [token]");
  expect(shown()).toContain("ERROR torbiz.seeder: an error");
  expect(shown()).toContain("INFO torbiz.seeder: line 700");
  expect(shown().indexOf("INFO torbiz.seeder: line 700")).toBeLessThan(shown().indexOf("INFO torbiz.seeder: line 699"));
});

it("searches, and keeps to warnings and errors", async () => {
  await view.search("line 699");
  expect(shown()).toEqual(["INFO torbiz.seeder: line 699"]);
  await view.search("");
  await view.choose("Warnings and Errors");
  await view.waitFor((screen) => !JSON.stringify(screen).includes("line 700"));
  expect(shown().toSorted()).toEqual(["ERROR torbiz.seeder: an error", "WARN petals.server: a warning"]);
  await view.choose("All");
});

it("goes on with new lines, and tells what Docker does to the container between them", async () => {
  const { id } = view.items().find(({ title }) => title.endsWith("an error")) ?? {};
  await docker("exec", name, "touch", "/tmp/more");
  await view.waitFor("torbiz.seeder: more");
  expect(view.items().find(({ title }) => title.endsWith("an error"))?.id).toBe(id);
  await docker("pause", name);
  await view.waitFor("The container was paused.");
  await docker("unpause", name);
  await view.choose("Events");
  await view.waitFor("The container was resumed.");
  expect(shown().at(-1)).not.toContain("torbiz.seeder");
  await view.choose("All");
});

it("shows a whole line, and exports the log", async () => {
  await view.run("Show Full Line");
  await view.waitFor("Hide Full Line");
  await view.run("Export Log");
  await view.waitFor(() => view.toast()?.title === "Log Exported");
  const logs = join(folder, "home", "logs");
  const [file = ""] = readdirSync(logs).filter((each) => each.startsWith("torbiz-log-"));
  expect(view.toast()?.message).toBe(join(logs, file));
  const written = readFileSync(join(logs, file), "utf8");
  expect(written).toContain("ERROR torbiz.seeder: an error\n");
  // More than is shown.
  expect(written).toContain("torbiz.seeder: line 1\n");
  expect(written).toContain("INFO torbiz.seeder: ~/x of [token]\n");
  mkdirSync(join(folder, "Downloads"));
  await view.run("Export Log");
  await view.waitFor(() => view.toast()?.message?.startsWith(join(folder, "Downloads")) === true);
});

it("says that it goes no further when Docker goes away, and goes on where it was", async () => {
  const before = shown().filter((title) => title.includes("torbiz.seeder"));
  proxy.close();
  for (const socket of connections) socket.destroy();
  await view.waitFor("The Log Stops Here: ");
  expect(view.actions(/The Log Stops Here/).map(({ title }) => title)).toEqual(["Try Again", "Copy Details"]);
  await docker("pause", name);
  await listen();
  await view.waitFor((screen) => !JSON.stringify(screen).includes("The Log Stops Here"));
  await docker("unpause", name);
  await view.waitFor(() => shown().filter((title) => title === "The container was resumed.").length === 2);
  expect(shown().filter((title) => title === "The container was paused.")).toHaveLength(2);
  expect(shown().filter((title) => title === "INFO torbiz.seeder: more")).toHaveLength(1);
  expect(new Set(before).size).toBe(before.length);
});

it("opens from the menu bar, over the list, and is copied as it is shown", async () => {
  const menu = await host.openMenu("menu-bar");
  await menu.waitFor("View Log");
  await menu.click("View Log");
  await host.waitFor(() => host.window !== undefined && host.window !== view);
  const opened = host.window;
  await opened?.waitFor("ERROR torbiz.seeder: an error");
  await opened?.press("escape");
  await opened?.waitFor("CPU and Memory");
  await opened?.run("View Log");
  await opened?.waitFor("of [token]");
  await opened?.run("Copy Shown Lines");
  expect(host.clipboard.text).toContain("INFO torbiz.seeder: ~/x of [token]\n");
  expect(host.clipboard.text).not.toMatch(/hf_0123|torbiz-log-/);
});
