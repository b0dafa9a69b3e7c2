import { mkdtempSync, readFileSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildFiles } from "../../src/lib/docker/build/lock";
import { rememberChoice } from "../../src/lib/sharing/last-choice";
import { scriptedSocket } from "../unit/docker/scripted-engine";
import { builtExtension } from "./built-extension";
import { RaycastHost, type MenuBar } from "./raycast";
import {
  buildThatEnded,
  buildThatRuns,
  container,
  ground,
  LABELS,
  report,
  shareEngine,
  type Ground,
  type ShareEngine,
} from "./scripted-share";

/** The built menu bar before an engine that says what a test wants; the real one is in stop-sharing.test.ts. */

let extension: string;
let here: Ground;
let socketPath: string;
let engine: ShareEngine;
let host: RaycastHost;

beforeAll(async () => {
  extension = await builtExtension();
}, 300_000);

beforeEach(async () => {
  here = ground(mkdtempSync(join(tmpdir(), "torbiz-menu-")));
  socketPath = join(here.paths.home, "docker.sock");
  engine = await shareEngine(here, socketPath);
  host = await RaycastHost.open({
    extension,
    env: here.env,
    preferences: { dockerHost: socketPath },
  });
});

afterEach(async () => {
  await host.close();
  await engine.close();
  rmSync(here.paths.home, { recursive: true });
});

const refresh = () => host.refresh("menu-bar");

/** What can be clicked. */
const controls = ({ items }: MenuBar) => items.filter(({ enabled }) => enabled).map(({ title }) => title);

/** What is only told, with its section's title: "Sharing: Blocks 0 to 29". */
const told = ({ items }: MenuBar) =>
  items
    .filter(({ enabled }) => !enabled)
    .map(({ section, title, subtitle }) => `${section}: ${title}${subtitle && ` | ${subtitle}`}`);

const ALWAYS = ["Open Share GPU", "Ask Model", "Open Preferences"];
const WITH_LOG = ["Open Share GPU", "View Log", "Ask Model", "Open Preferences"];
const running = { Status: "running", Running: true };
const AT_FIVE = new Date(2026, 0, 31, 14, 5).toISOString();
const MODEL = "SmolLM2 135M Instruct | Private Swarm";

interface Case {
  container: unknown;
  title: string;
  tooltip: string;
  /** Lines that must be there. */
  tells: (string | RegExp)[];
  controls: string[];
}

const STATES: Record<string, Case> = {
  "nothing shared": {
    container: undefined,
    title: "",
    tooltip: "Torbiz: Not Sharing",
    tells: [],
    controls: ALWAYS,
  },
  "a container that has just been made": {
    container: container({ Status: "created" }),
    title: "Starting",
    tooltip: "Torbiz: Starting",
    tells: [/^Starting: Stage 1 of \d: Starting Petals$/, `Starting: ${MODEL}`],
    controls: ["Stop Sharing", "Stop Now", ...WITH_LOG],
  },
  "loading blocks": {
    container: container(running, {
      seeder: report({ stage: "loading", since: null, blocks: { loaded: 12, total: 30, start: 0, end: 30 } }),
    }),
    title: "Starting 12/30",
    tooltip: "Torbiz: Starting",
    tells: [/^Starting: Stage 5 of \d: Loading blocks 12\/30$/, "Starting: 12 of 30 blocks loaded"],
    controls: ["Stop Sharing", "Stop Now", ...WITH_LOG],
  },
  "downloading blocks": {
    container: container(running, {
      seeder: report({
        ...{ stage: "downloading", since: null, blocks: { loaded: 0, total: 4, start: 0, end: 4 } },
        message: "The model hub sends 120 kB/s: this file takes 5 hours more.",
        download: {
          ...{ file: "model-00001-of-00002.safetensors", done: 1.2e9, total: 3.5e9, files: 2, filesDone: 0 },
          bytesPerSecond: 120_000,
        },
      }),
    }),
    title: "Downloading 34%",
    tooltip: "Torbiz: Starting",
    tells: [
      /^Starting: Stage 5 of \d: Downloading model-00001-of-00002\.safetensors/,
      "Starting: 0 of 4 blocks loaded",
      "Starting: The model hub sends 120 kB/s: this file takes 5 hours more.",
    ],
    controls: ["Stop Sharing", "Stop Now", ...WITH_LOG],
  },
  "online with nobody": {
    container: container(running, { seeder: report() }),
    title: "Sharing",
    tooltip: "Torbiz: Sharing",
    tells: [
      /^Sharing: For 2 h \d min \| Since \w+ \d+, \d{4}, \d+:\d\d [AP]M$/,
      `Sharing: ${MODEL}`,
      "Sharing: Blocks 0 to 29",
      "Sharing: 0 sessions | 0 tokens served",
    ],
    controls: ["Stop Sharing", "Finish and Stop", "Stop Now", ...WITH_LOG],
  },
  "online with two people": {
    container: container(running, { seeder: report({ sessions: 2, tokens: 12_345 }) }),
    title: "Sharing · 2",
    tooltip: "Torbiz: Sharing",
    tells: ["Sharing: 2 sessions | 12,345 tokens served"],
    controls: ["Stop Sharing", "Finish and Stop", "Stop Now", ...WITH_LOG],
  },
  "one that peers reach through relays only": {
    container: container(running, { seeder: report({ notices: ["relayed"] }) }),
    title: "Sharing",
    tooltip: "Torbiz: Sharing",
    tells: ["Sharing: Reached Through Relays"],
    controls: ["Stop Sharing", "Finish and Stop", "Stop Now", ...WITH_LOG],
  },
  "finishing what is on its way": {
    container: container(running, {
      seeder: report({ stage: "finishing", sessions: 2, active: 1, finishBy: AT_FIVE }),
    }),
    title: "Finishing",
    tooltip: "Torbiz: Finishing",
    tells: ["Finishing: 1 answer on its way, at most until 14:05", "Finishing: 2 sessions | 0 tokens served"],
    controls: ["Stop Sharing", "Stop Now", ...WITH_LOG],
  },
  "a seeder that has frozen": {
    container: container(running, { seeder: report({ time: new Date(Date.now() - 120_000).toISOString() }) }),
    title: "Sharing",
    tooltip: "Torbiz: Sharing",
    tells: ["Sharing: The seeder hasn't reported for a while: it may be frozen."],
    controls: ["Stop Sharing", "Finish and Stop", "Stop Now", ...WITH_LOG],
  },
  "telling peers that it leaves": {
    container: container(running, { seeder: report({ stage: "stopping" }) }),
    title: "Stopping",
    tooltip: "Torbiz: Stopping",
    tells: [`Stopping: ${MODEL}`],
    controls: ["Stop Now", ...WITH_LOG],
  },
  "being removed": {
    container: container({ Status: "removing" }),
    title: "Stopping",
    tooltip: "Torbiz: Stopping",
    tells: [`Stopping: ${MODEL}`],
    controls: ["Stop Now", ...WITH_LOG],
  },
  "ended without memory": {
    container: container({ Status: "exited", ExitCode: 137, OOMKilled: true }),
    title: "Ended",
    tooltip: "Torbiz: Ended",
    tells: ["Ended: It ran out of memory."],
    controls: ["Start Again", "Clear Ended Share", ...WITH_LOG],
  },
  "never started, as its port is taken": {
    container: container({
      Status: "created",
      ExitCode: 128,
      Error:
        "driver failed programming external connectivity on endpoint torbiz-petals-seeder: port is already allocated",
    }),
    title: "Ended",
    tooltip: "Torbiz: Ended",
    tells: ["Ended: The port is in use by another program."],
    controls: ["Start Again", "Clear Ended Share", ...WITH_LOG],
  },
  "somebody else's container": {
    container: container(running, { labels: {} }),
    title: "Name Taken",
    tooltip: "Torbiz: Name Taken",
    tells: [/^Name Taken: Another program's container already uses Torbiz's name/],
    controls: ALWAYS,
  },
  paused: {
    container: container({ Status: "paused" }, { seeder: report() }),
    title: "Paused",
    tooltip: "Torbiz: Paused",
    tells: ["Paused: Peers can't use it while its container is paused."],
    controls: ["Stop Sharing", "Stop Now", ...WITH_LOG],
  },
};

describe("the menu bar", () => {
  it.each(Object.entries(STATES))("shows %s", async (_, { tells, ...expected }) => {
    engine.container = expected.container;
    const menu = await refresh();
    expect({ title: menu.title, tooltip: menu.tooltip, controls: controls(menu) }).toEqual({
      title: expected.title,
      tooltip: expected.tooltip,
      controls: expected.controls,
    });
    const lines = told(menu);
    for (const line of tells)
      expect(lines).toContainEqual(typeof line === "string" ? line : expect.stringMatching(line));
    expect(engine.requests).toHaveLength(1);
  });

  it("tells states apart by icon and word, not by color alone", async () => {
    const looks = new Map<string, string>();
    const resident = await host.resident("menu-bar");
    for (const { container } of Object.values(STATES)) {
      engine.container = container;
      const { icon, tooltip } = await resident.refresh();
      looks.set(tooltip, String((icon as { source: string }).source));
    }
    expect(looks.size).toBe(8);
    expect(new Set(looks.values()).size).toBe(looks.size);
  });

  it.each([
    ["null fields", { Id: null, Config: { Labels: LABELS, Image: null }, State: null }],
    ["no labels", { Config: null, State: null }],
    ["an empty answer", {}],
    ["a report of another kind", container(running, { seeder: { stage: 7, blocks: "many", since: 0 } })],
    ["a health check without output", { ...container(running), State: { ...running, Health: { Log: null } } }],
  ])("survives %s from the engine", async (_, answer) => {
    engine.container = answer;
    const menu = await refresh();
    expect(menu.tooltip).toMatch(/^Torbiz: (Unknown|Name Taken|Starting)$/);
    expect(controls(menu)).toEqual(expect.arrayContaining(ALWAYS));
  });

  it("shows where a build is, and lets it be cancelled", async () => {
    buildThatRuns(here, 40);
    const menu = await refresh();
    expect(menu.title).toMatch(/^Building \d+\/\d+$/);
    expect(menu.tooltip).toBe("Torbiz: Building Image");
    expect(told(menu)).toContainEqual(
      expect.stringMatching(/^Building Image: Building \d+\/\d+: [A-Z].* \| \d+%(, (about|a few) .+ left)?$/),
    );
    expect(told(menu)).toContainEqual(expect.stringMatching(/^Building Image: For \d+ s \| Since /));
    expect(controls(menu)).toEqual(["Cancel Build", ...WITH_LOG]);

    buildThatRuns(here, 70);
    const later = await refresh();
    const step = ({ title }: MenuBar) => Number(/\d+/.exec(title)?.[0]);
    expect(step(later)).toBeGreaterThan(step(menu));
  });

  it.each([
    ["torbiz: done image=sha256:1", "Image Built", "Not Sharing: The image is ready. | just now"],
    ["torbiz: failed step=image", "Build Failed", /^Not Sharing: .+ \| just now$/],
  ])("lets the end of a build be noticed: %s", async (lastLine, title, line) => {
    buildThatEnded(here, lastLine);
    const menu = await refresh();
    expect(menu).toMatchObject({ title, tooltip: `Torbiz: ${title}` });
    expect(told(menu)).toEqual([typeof line === "string" ? line : expect.stringMatching(line)]);
    expect(controls(menu)).toEqual(WITH_LOG);

    const hourAgo = new Date(Date.now() - 3_600_000);
    utimesSync(buildFiles(here.paths, here.names).log, hourAgo, hourAgo);
    expect(await refresh()).toMatchObject({ title: "", tooltip: "Torbiz: Not Sharing" });
  });

  it("says nothing of a build that a person cancelled", async () => {
    buildThatEnded(here, "torbiz: cancelled");
    expect(await refresh()).toMatchObject({ title: "", tooltip: "Torbiz: Not Sharing" });
  });

  it("shows what was known, with its age, while the engine is gone, and goes on when it is back", async () => {
    engine.container = container(running, { seeder: report({ sessions: 1 }) });
    await refresh();
    await engine.close();

    const gone = await refresh();
    expect(gone.title).toBe("Sharing · 1?");
    expect(gone.tooltip).toBe("Torbiz: Docker isn't running. Last known: Sharing, just now.");
    expect(told(gone)).toEqual([
      "Docker isn't running: Start Docker, wait until it says that it is running, and try again.",
      "Docker isn't running: Last Known: Sharing, just now",
    ]);
    expect(controls(gone)).toEqual(ALWAYS);
    makeOlder(12 * 60_000);
    expect((await refresh()).tooltip).toBe("Torbiz: Docker isn't running. Last known: Sharing, 12 min ago.");

    engine = await shareEngine(here, socketPath);
    engine.container = container({ Status: "exited", ExitCode: 0 });
    expect(await refresh()).toMatchObject({ title: "Ended", tooltip: "Torbiz: Ended" });
  });

  it("waits two seconds for an engine that takes the call and says nothing", async () => {
    engine.container = container(running, { seeder: report() });
    await refresh();
    await engine.close();
    const mute = await scriptedSocket(() => undefined, socketPath);
    try {
      const menu = await refresh();
      expect(menu).toMatchObject({
        title: "Sharing?",
        tooltip: "Torbiz: Docker isn't answering. Last known: Sharing, just now.",
      });
      expect(told(menu)[0]).toBe("Docker isn't answering: Restart Docker and try again.");
      expect(menu.items[0]?.node.props.tooltip).toContain("gave no answer in 2 s.");
    } finally {
      await mute.close();
    }
  });

  it("knows nothing before the engine has ever answered", async () => {
    await engine.close();
    const menu = await refresh();
    expect(menu).toMatchObject({ title: "", tooltip: "Torbiz: Docker isn't running." });
    expect(told(menu)).toHaveLength(1);
  });

  it.each([
    ["another program", "it's me\n"],
    ["half an answer", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"],
  ])("survives %s at the socket", async (_, answer) => {
    await engine.close();
    const other = await scriptedSocket((socket) => socket.end(answer), socketPath);
    try {
      expect((await refresh()).tooltip).toMatch(/^Torbiz: [A-Z].+\.$/);
    } finally {
      await other.close();
    }
  });

  it("shares again what was shared last", async () => {
    rememberChoice(here, { model: "smollm2-135m-instruct", swarm: "private" });
    const menu = await host.openMenu("menu-bar");
    await menu.waitFor("Start Again");
    await menu.click("Start Again");
    await host.waitFor(() => launches().length > 0);
    expect(launches()).toEqual([
      { name: "share-gpu", type: "userInitiated", arguments: { model: "smollm2-135m-instruct" } },
    ]);
  });

  it.each([
    ["Open Share GPU", { name: "share-gpu", type: "userInitiated" }],
    ["View Log", { name: "share-gpu", type: "userInitiated", context: { view: "logs" } }],
    ["Ask Model", { name: "ask-model", type: "userInitiated" }],
  ])("opens the command: %s", async (title, launch) => {
    engine.container = container({ Status: "exited", ExitCode: 1 });
    const menu = await host.openMenu("menu-bar");
    await menu.waitFor(title);
    await menu.click(title);
    await host.waitFor(() => launches().length > 0);
    expect(launches()).toEqual([launch]);
  });

  it("opens the preferences", async () => {
    const menu = await host.openMenu("menu-bar");
    await menu.click("Open Preferences");
    expect(host.events).toContainEqual({ event: "open-extension-preferences", command: "menu-bar" });
  });

  it("survives a note of what was shared last that is broken", async () => {
    writeFileSync(join(here.paths.run, "last-choice-menu.json"), "{");
    expect(controls(await refresh())).toEqual(ALWAYS);
  });
});

function launches(): object[] {
  return host.events
    .filter(({ event, command }) => event === "launch" && command === "menu-bar")
    .map(({ name, type, arguments: given, context }) => ({
      name,
      type,
      ...(given ? { arguments: given } : {}),
      ...(context ? { context } : {}),
    }));
}

/** Lets what the menu bar remembers be of another time. */
function makeOlder(ms: number): void {
  const files = readdirSync(host.supportPath, { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith(".entry"),
  );
  expect(files).toHaveLength(1);
  for (const file of files.map((name) => join(host.supportPath, name))) {
    const at = new Date(Date.now() - ms).toISOString();
    writeFileSync(file, readFileSync(file, "utf8").replace(/"at":"[^"]+"/, `"at":"${at}"`));
  }
}
