import { spawn, type ChildProcess } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildFiles } from "../../src/lib/docker/build/lock";
import { CONTRACT } from "../../src/lib/docker/build/state";
import { MODELS } from "../../src/lib/models";
import { acquireLock } from "../../src/lib/process-lock";
import { rememberChoice } from "../../src/lib/sharing/last-choice";
import { shareLock } from "../../src/lib/sharing/stop-request";
import { healthy, scriptedEngine, scriptedSocket, type ScriptedEngine } from "../unit/docker/scripted-engine";
import { builtExtension } from "./built-extension";
import { RaycastHost, type CommandView } from "./raycast";
import { eventually } from "./real-share";
import {
  answering,
  buildThatEnded,
  buildThatRuns,
  container,
  ground,
  LABELS,
  report,
  type EngineContent,
  type Ground,
} from "./scripted-share";

/** The built Share GPU before engines that do what a test wants; with the real one it is in the stories. */

let extension: string;
let folder: string;
let here: Ground;
let socket: string;
let host: RaycastHost;
const engines: ScriptedEngine[] = [];
const children: ChildProcess[] = [];

beforeAll(async () => {
  extension = await builtExtension();
}, 300_000);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "torbiz-view-"));
  here = ground(join(folder, "home"));
  socket = join(folder, "docker.sock");
});

afterEach(async () => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  await host.close();
  await Promise.all(engines.splice(0).map((engine) => engine.close()));
  rmSync(folder, { recursive: true });
});

interface OpenOptions {
  env?: NodeJS.ProcessEnv;
  preferences?: Record<string, unknown>;
  model?: string;
}

async function open({ env, preferences, model = "" }: OpenOptions = {}): Promise<CommandView> {
  host = await RaycastHost.open({
    extension,
    env: { HOME: folder, ...here.env, ...env },
    preferences: { dockerHost: `unix://${socket}`, ...preferences },
  });
  return host.launch("share-gpu", { arguments: { model } });
}

async function listening(engine: Promise<ScriptedEngine>): Promise<ScriptedEngine> {
  const started = await engine;
  engines.push(started);
  return started;
}

const OUTDATED = { "com.torbiz.inputs": "of an older Torbiz", "com.torbiz.contract": String(CONTRACT) };

/** Of a container that knows what a finish is. */
const FINISHES = { ...LABELS, "com.torbiz.contract": String(CONTRACT) };

const serve = (content: EngineContent, at = socket) => listening(scriptedEngine(answering(here, content), at));

const titles = (view: CommandView) => view.actions().map(({ title }) => title);

/** Resolves when that question was asked. */
async function alerted(title: string): Promise<void> {
  await eventually(() => expect(host.alerts.at(-1)?.title).toBe(title));
}

describe("the gate", () => {
  const HELP = ["Try Again", "Choose Socket…", "Run Doctor", "Open Guide", "Open Preferences"];
  const unready = healthy({ "/info": (_request, response) => void response.writeHead(503).end("{}") });
  const states: Array<[title: string, arrange: () => Promise<unknown>, help: string[]]> = [
    ["Docker Isn't Running", () => Promise.resolve(), HELP],
    ["Docker Is Starting", () => listening(scriptedEngine(unready, socket)), HELP],
    ["Docker Isn't Answering", () => listening(scriptedSocket(() => undefined, socket)), HELP],
    ["Docker Is Too Old", () => listening(scriptedEngine(healthy({}, "1.40"), socket)), HELP],
    ["Docker Runs Windows Containers", () => listening(scriptedEngine(healthy({}, "1.41", "windows"), socket)), HELP],
    [
      "Something Other than Docker Answered",
      () => listening(scriptedSocket((connection) => connection.end("220 mail.example.com ESMTP\r\n"), socket)),
      HELP,
    ],
  ];

  it.each(states)("tells “%s” with what helps", async (title, arrange, help) => {
    await arrange();
    const view = await open();
    await view.waitFor(`Empty: ${title} — `);
    if (title === "Docker Is Starting") await view.waitFor(/[1-9]\d* s so far\. Docker at unix:.+ is not ready: /);
    expect(titles(view)).toEqual(expect.arrayContaining(help));
    expect(view.text()).not.toMatch(/--[a-z]|TORBIZ_|ECONN|ENOENT|\bat .*:\d+:\d+/);
  });

  it("tells of a Docker host and of a context that can't be used", async () => {
    const view = await open({ preferences: { dockerHost: "ssh://somewhere" } });
    await view.waitFor("Empty: This Docker Host Isn't Supported — ");
    await host.close();
    const other = await open({ preferences: { dockerHost: "" }, env: { DOCKER_CONTEXT: "gone" } });
    await other.waitFor("Empty: The Docker Context Doesn't Exist — ");
    expect(titles(other)[0]).toBe("Try Again");
    // Markdown would be shown as it is written.
    expect(other.text()).toContain("with docker context use NAME");
  });

  it("goes on by itself when Docker runs, and comes back when it ends", async () => {
    const view = await open();
    await view.waitFor("Docker Isn't Running");
    const engine = await scriptedEngine(answering(here, {}), socket);
    await view.waitFor("1. Build the Image");
    await engine.close();
    await view.waitFor("Docker Isn't Running");
  });

  it("says that Docker is busy, and goes on when it is done", async () => {
    const answer = answering(here, {});
    let isBusy = true;
    const busy = async (request: IncomingMessage, response: ServerResponse) => {
      while (isBusy && request.url?.endsWith("/info")) await delay(20);
      answer(request, response);
    };
    await listening(scriptedEngine((request, response) => void busy(request, response), socket));
    const view = await open();
    try {
      await view.waitFor(/Empty: Looking for Docker… — Docker at unix:.+ is busy, .+ Waiting for it\./);
    } finally {
      isBusy = false;
    }
    await view.waitFor("1. Build the Image");
  });

  it("starts Docker, says so, and goes on when it runs", async () => {
    const colima = join(folder, ".colima", "default");
    const bin = join(folder, "bin");
    const asked = join(folder, "asked");
    mkdirSync(colima, { recursive: true });
    mkdirSync(bin);
    writeFileSync(join(bin, "colima"), `#!/bin/sh\necho "$@" > '${asked}'\n`);
    chmodSync(join(bin, "colima"), 0o755);
    const at = join(colima, "docker.sock");
    const view = await open({ preferences: { dockerHost: `unix://${at}` }, env: { PATH: `${bin}:/usr/bin:/bin` } });
    await view.waitFor("Docker Isn't Running");
    expect(titles(view)[0]).toBe("Start Colima");
    await view.run("Start Colima");
    await view.waitFor("Empty: Starting Docker… — ");
    await view.waitFor(/[1-9]\d* s so far\. There is no Docker socket at unix:/);
    expect(titles(view)).toContain("Copy Details");
    expect(readFileSync(asked, "utf8")).toBe("start\n");
    await serve({}, at);
    await view.waitFor("1. Build the Image");
  });

  it("says why Docker couldn't be started", async () => {
    const at = join(folder, ".colima", "default", "docker.sock");
    const view = await open({ preferences: { dockerHost: `unix://${at}` } });
    await view.run("Start Colima");
    await view.waitFor("there is no colima command.");
    expect(view.toast()).toMatchObject({ style: "FAILURE", title: "Docker Isn't Running" });
    await view.waitFor("Empty: Docker Isn't Running");
  });

  it("lets a socket be chosen for all commands, and forgotten again", async () => {
    const run = join(folder, "run");
    mkdirSync(run);
    await serve({}, join(run, "docker.sock"));
    const env = { DOCKER_HOST: `unix://${socket}`, XDG_RUNTIME_DIR: run };
    const view = await open({ preferences: { dockerHost: "" }, env });
    await view.run("Choose Socket…");
    await view.waitFor(join(run, "docker.sock"));
    const item = view.items().find(({ subtitle }) => subtitle === `unix://${join(run, "docker.sock")}`);
    await view.run("Use This Socket", { item: item?.title });
    await view.waitFor("1. Build the Image");
    await view.closeWindow();

    const again = await host.launch("share-gpu", { arguments: { model: "" } });
    await again.waitFor("1. Build the Image");
    await Promise.all(engines.splice(0).map((engine) => engine.close()));
    await again.run("Choose Socket…");
    await again.run("Find Automatically", { item: "Find Automatically" });
    await again.waitFor(socket);
  });
});

describe("before sharing", () => {
  it("says what will happen, how long it takes, and what computes", async () => {
    await serve({});
    const view = await open();
    await view.waitFor("5–10 minutes on a typical Mac");
    expect(view.items().map(({ title }) => title)).toEqual(["1. Build the Image", "2. Choose a Model", "3. Share"]);
    expect(view.items()[0]).toMatchObject({ selected: true });
    expect(view.text()).toContain("Disk: 1.3 GB, 2.5 GB to 3.7 GB during the build");
    expect(view.text()).toContain("The container computes on the CPU. Expect 10–17 tokens/s");
    expect(view.text()).toContain("Docker's Memory: 8.0 GB");
    expect(titles(view)[0]).toBe("Build Image");
  });

  it("follows a build that somebody else started, and says how it failed", async () => {
    // The command line tells that it is a build.
    const builder = spawn("bash", ["-c", "exec -a build-docker-macos.sh sleep 600"], { stdio: "ignore" });
    children.push(builder);
    buildThatRuns(here, 30, builder.pid);
    await serve({});
    const view = await open();
    await view.waitFor(/Step: \d+ of \d+/);
    expect(titles(view).slice(0, 2)).toEqual(["View Log", "Cancel Build"]);
    await view.run("View Log");
    await view.waitFor(/Step \d+\/\d+ : /);
    await view.choose("Warnings and Errors");
    await view.waitFor("Empty: No Lines");
    await view.back();
    host.confirm = () => false;
    await view.run("Cancel Build");
    await alerted("Cancel the Build?");

    buildThatEnded(here, "torbiz: failed");
    builder.kill();
    await view.waitFor("Build Failed");
    expect(view.toast()?.style).toBe("FAILURE");
    expect(titles(view).slice(0, 3)).toEqual(["Retry", "View Log", "Copy Build Command"]);
    await view.run("View Log");
    await view.waitFor("torbiz: failed");
    await view.back();
    await view.run("Copy Build Command");
    expect(JSON.stringify(host.clipboard)).toContain("build-docker-macos.sh");
  });
});

it("opens at the log when it is launched for it, and leads back from there", async () => {
  buildThatRuns(here, 30);
  await serve({});
  await open();
  const view = await host.launch("share-gpu", { context: { view: "logs" } });
  await view.waitFor(/Build Log[^]*Step \d+\/\d+ : /);
  await view.press("escape");
  await view.waitFor("Building the Image");
});

it("leaves no part of a log whose export fails", async () => {
  buildThatRuns(here, 30);
  await serve({});
  await open();
  const view = await host.launch("share-gpu", { context: { view: "logs" } });
  await view.waitFor(/Step \d+\/\d+ : /);
  rmSync(buildFiles(here.paths, here.names).log);
  await view.run("Export Log");
  await host.waitFor(() => view.toast()?.style === "FAILURE");
  expect(readdirSync(here.paths.logs).filter((name) => name.startsWith("torbiz-log-"))).toEqual([]);
});

describe("choosing", () => {
  it("offers models with what fits and why; an older image serves, with its update", async () => {
    await serve({ image: OUTDATED });
    const view = await open();
    await view.waitFor("Fit: Fits");
    expect(view.text()).toContain("All 30 blocks fit");
    expect(titles(view)).toEqual(
      expect.arrayContaining(["Share", "Share with Options…", "Update Image", "Rebuild Image"]),
    );
    expect(view.items().map(({ title }) => title)).toEqual([
      ...MODELS.map(({ title }) => title),
      ...["Another Model…", "Join by Invite…", "Update Image"],
    ]);
  });

  it("offers the last choice first, as it was", async () => {
    const opened = { lan: "203.0.113.7", port: 31_999 };
    rememberChoice(here, { model: "smollm2-135m-instruct", swarm: "public", blocks: 12, ...opened });
    await serve({ image: {} });
    const view = await open();
    await view.waitFor("Last Choice");
    expect(view.items()[0]).toMatchObject({ section: "Last Choice", selected: true });
    expect(view.text()).toContain("Blocks: 12 of 30");
    expect(view.text()).toContain("Port: 31999");
    expect(view.text()).toContain("Address: 203.0.113.7");
    expect(view.text()).toContain("Swarm: Public Petals Network");
  });

  it("offers the map of another's swarm, of one's own there is none yet", async () => {
    await serve({ image: {} });
    expect(titles(await open())).not.toContain("Show Swarm Map");
    await host.close();
    const view = await open({ preferences: { swarm: "public" } });
    await view.waitFor("Swarm: Public Petals Network");
    expect(titles(view)).toContain("Show Swarm Map");
  });

  it("takes no account of a last choice that is damaged", async () => {
    rememberChoice(here, { model: "smollm2-135m-instruct", swarm: "nonsense" });
    await serve({ image: {} });
    const view = await open();
    await view.waitFor("Models");
    expect(view.text()).not.toContain("Last Choice");
  });

  it("names the preference that can't be used, and how to change it", async () => {
    await serve({ image: {} });
    const view = await open({ preferences: { port: "eighty" } });
    await view.waitFor("The preference Port can't be used");
    expect(titles(view)[0]).toBe("Open Preferences");
  });

  it("checks the options before it shares with them", async () => {
    const peer = "/ip4/10.0.0.5/tcp/31330/p2p/QmQJhvyMSt8nsnwfNVek8oUMUu7pfCc97xPj5L7X4ni198";
    await serve({ image: {} });
    const view = await open();
    await view.run("Share with Options…");
    await view.type("blocks", "31");
    await view.type("port", "80");
    await view.type("swarm", "join");
    await view.waitFor("Peer Addresses");
    await view.type("peers", "10.0.0.5");
    await view.type("address", "my router");
    await view.submit();
    await view.waitFor("Enter a number from 1 to 30, or a range such as 0:30");
    expect(view.text()).toContain("Enter a number from 1024 to 65535");
    expect(view.text()).toContain(`"10.0.0.5" is neither`);
    expect(view.text()).toContain(`"my router" is neither an IPv4 address nor a host name`);

    const taken = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => taken.once("listening", resolve));
    const { port } = taken.address() as { port: number };
    await view.type("blocks", "12");
    await view.type("port", String(port));
    await view.type("peers", peer);
    await view.type("address", "203.0.113.7");
    await view.submit();
    await view.waitFor("Start Failed");
    expect(view.text()).toContain(`Port ${port} is used by another program`);
    taken.close();
    expect(titles(view).slice(0, 2)).toEqual(["Retry", "Clear"]);
    await view.run("Clear");
    await view.waitFor((screen) => !JSON.stringify(screen).includes("Start Failed"));
  });
});

describe("with a model as argument", () => {
  it("starts without asking", async () => {
    await serve({ image: {} });
    const taken = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => taken.once("listening", resolve));
    const { port } = taken.address() as { port: number };
    const view = await open({ model: "SmolLM2-135M-Instruct", preferences: { port: String(port) } });
    // It gets as far as a port that is taken.
    await view.waitFor(`Port ${port} is used by another program`);
    expect(view.toast()).toMatchObject({ style: "FAILURE", title: "The Port Is in Use" });
    taken.close();
  });

  it("shares it as it was shared last", async () => {
    rememberChoice(here, { model: "smollm2-135m-instruct", swarm: "public", blocks: 12 });
    // Keeps the start where it is.
    const lock = await acquireLock(shareLock(here));
    await serve({ image: {} });
    const view = await open({ model: "smollm2-135m-instruct" });
    await view.waitFor("Keep this window open until the container starts");
    expect(view.text()).toContain("Swarm: Public Petals Network");
    expect(view.text()).toContain("Blocks: 12 of 30");
    lock.release();
  });

  it("keeps it in mind until there is an image", async () => {
    const answers: EngineContent = {};
    await serve(answers);
    const view = await open({ model: "smollm2-135m-instruct" });
    await view.waitFor("SmolLM2 135M Instruct is shared when the image is built");
    expect(titles(view)[0]).toBe("Build Image");
    const builder = spawn("bash", ["-c", "exec -a build-docker-macos.sh sleep 600"], { stdio: "ignore" });
    children.push(builder);
    buildThatRuns(here, 30, builder.pid);
    await view.waitFor(/Building the Image[^]*SmolLM2 135M Instruct is shared when the image is built/);
    // Keeps the start where it is.
    const lock = await acquireLock(shareLock(here));
    answers.image = {};
    buildThatEnded(here, "torbiz: done");
    builder.kill();
    await view.waitFor("Keep this window open until the container starts");
    lock.release();
  });

  it("says which models there are when it doesn't know one, and lets choose", async () => {
    await serve({ image: {} });
    const view = await open({ model: "llama-900b" });
    await view.waitFor("It knows: smollm2-135m-instruct, ");
    expect(view.toast()).toMatchObject({ style: "FAILURE", title: "Unknown Model" });
    await view.waitFor("Models");
    expect(titles(view)[0]).toBe("Share");
  });

  it("works by deeplink", async () => {
    await serve({ image: {} });
    await open();
    const query = `arguments=${encodeURIComponent(JSON.stringify({ model: "llama-900b" }))}`;
    await host.openDeeplink(`raycast://extensions/torbiz/torbiz/share-gpu?${query}`);
    await host.window?.waitFor("It knows: smollm2-135m-instruct, ");
  });
});

describe("a share that runs", () => {
  it("shows stages, then all there is to tell; Enter never stops it", async () => {
    let seeder = report({ stage: "loading", blocks: { loaded: 12, total: 30, start: 0, end: 30 }, since: null });
    await serve({ image: {}, share: () => container({ Status: "running", Running: true }, { seeder }) });
    const view = await open();
    await view.waitFor("Stage 5 of 6: Loading blocks 12/30");
    expect(view.text()).toContain("Joining the swarm: Done");
    seeder = report({ sessions: 2, tokens: 1_234 });
    await view.waitFor("Status · Sharing");
    for (const fact of [
      "Swarm: Private Swarm",
      "Blocks: 0 to 29, all 30",
      "Peer ID: …KooWPeer",
      "Sessions: 2",
      "Tokens Served: 1,234",
      "Throughput: 300.0 tokens/s",
      "Port: 31330",
    ]) {
      expect(view.text()).toContain(fact);
    }
    expect(view.items().map(({ title, subtitle }) => `${title}: ${subtitle}`)).toEqual([
      "Status: Sharing",
      "Blocks: 30 of 30",
      "Swarm: Not Known Yet",
      "Peer: …KooWPeer",
      "Serving: 2 sessions",
      "Running For: 2 h 5 min",
      "CPU and Memory: ",
      "Log: ",
    ]);
    for (const { title } of view.items()) {
      await view.select(title);
      expect(titles(view)[0]).not.toMatch(/^Stop/);
    }
    host.confirm = () => false;
    await view.run("Stop Now");
    await alerted("Stop Now?");
    await view.run("Change Model…");
    await alerted("Stop and Choose Another Model?");
    await view.run("Copy Peer ID", { item: "Peer" });
    expect(view.text()).toContain("Reachable: On This Computer Only");
    expect(JSON.stringify(host.clipboard)).toContain("12D3KooWPeer");
  });

  it("looks less often at an engine that is slower than its looks: none overlaps or overtakes another", async () => {
    const others = answering(here, { image: {} });
    let asked = 0;
    let atOnce = 0;
    let most = 0;
    const slow = (request: IncomingMessage, response: ServerResponse) => {
      if (!request.url?.includes(`/containers/${here.names.container}/json`)) return others(request, response);
      asked += 1;
      most = Math.max(most, ++atOnce);
      const seen = container({ Status: "running", Running: true }, { seeder: report({ tokens: asked }) });
      const answer = () => {
        atOnce -= 1;
        response.end(JSON.stringify(seen));
      };
      // Every other one takes longer than looks are apart.
      setTimeout(answer, asked % 2 === 0 ? 1_800 : 0);
    };
    await listening(scriptedEngine(slow, socket));
    const view = await open();
    const shown: number[] = [];
    while (!(Number(shown.at(-1)) >= 4)) {
      await delay(50);
      const tokens = /Tokens Served: (\d+)/.exec(view.text())?.[1];
      if (tokens) shown.push(Number(tokens));
    }
    expect(shown).toEqual(shown.toSorted((a, b) => a - b));
    expect(most).toBe(1);
  });

  it("tells what was measured, and what there is to know and to do", async () => {
    const notices = ["unreachable", "relayed", "slow", "out-of-memory", "moved", "clock", "of-a-newer-seeder"];
    const seeder = report({ served: 12.5, notices, reachability: "unreachable" });
    await serve({ image: {}, share: () => container({ Status: "running", Running: true }, { seeder }) });
    const view = await open();
    await view.waitFor("Measured: 12.5 tokens/s (while serving one session)");
    expect(view.text()).toContain("Peers can't reach this computer now.");
    for (const [title, next] of [
      ["Reached by Nobody", "It goes on by itself when they can again."],
      ["Reached Through Relays", "name the router's address when you share."],
      ["Slow for This Model", "Share a smaller model, or give Docker more processors."],
      ["No Memory for a Session", "Who finds none asks another peer"],
      ["Serves Other Blocks", "There is nothing to do."],
      ["Clocks Differ", "Set the clock by the network's time."],
    ] as const) {
      await view.select(title);
      expect(view.text()).toContain(next);
    }
    expect(view.items()).toHaveLength(8 + notices.length - 1);
    await view.select("Peer");
    expect(view.text()).toContain("Reachable: By Nobody Now");
  });

  it("says that peers come directly in the public network, and that it is that", async () => {
    const seeder = report({ reachability: "direct", swarm: { peers: 2, coverage: [[1, 12], [3, 18]] } }); // prettier-ignore
    const labels = { ...LABELS, "com.torbiz.swarm": "public" };
    await serve({ image: {}, share: () => container({ Status: "running", Running: true }, { seeder, labels }) });
    const view = await open();
    await view.waitFor("Status · Sharing");
    expect(view.text()).toContain("Peers can use it, also when this window is closed.");
    expect(view.text()).toContain("Swarm: Public Petals Network");
    await view.select("Peer");
    expect(view.text()).toContain("Reachable: Directly");
    await view.select("Swarm");
    expect(view.text()).toContain("Other Peers: 2");
  });

  it("finishes: what is on its way is told until it ends, and a stop is there all the time", async () => {
    const finishBy = new Date(2026, 0, 31, 14, 5).toISOString();
    let ended = false;
    const isAsked = () => engine.requests.some((request) => request.endsWith("/kill?signal=SIGUSR1"));
    const engine = await serve({
      image: {},
      share: () => {
        if (ended) return undefined;
        const seeder = report(isAsked() ? { stage: "finishing", active: 1, finishBy } : { active: 1 });
        return container({ Status: "running", Running: true }, { seeder, labels: FINISHES });
      },
    });
    const view = await open();
    await view.waitFor("Status · Sharing");
    await view.run("Finish and Stop");
    await view.waitFor("Status · Finishing");
    expect(view.text()).toContain("**Finishing**: 1 answer on its way, at most until 14:05.");
    await view.waitFor("Toast animated Finishing: 1 answer on its way, at most until 14:05");
    expect(titles(view)).not.toContain("Finish and Stop");
    expect(titles(view)).toEqual(expect.arrayContaining(["Stop Sharing", "Stop Now"]));
    ended = true;
    await view.waitFor("- SmolLM2 135M Instruct");
    expect(engine.requests.filter((request) => request.includes("/kill"))).toHaveLength(1);
  });

  it("tells what this computer gave, and writes it for other programs", async () => {
    const today = new Date().toISOString().slice(0, 10);
    const figures = { sessions: 3, tokens: 1_234, onlineSeconds: 5_400, blockSeconds: 10_800 };
    const files = { a: { "2026-01-31": { ...figures, tokens: 1_000_000 }, [today]: figures } };
    writeFileSync(join(here.paths.home, "contribution.json"), JSON.stringify({ files }));
    await serve({ image: {} });
    const view = await open();
    await view.waitFor("- Today");
    expect(view.items().map(({ title, subtitle }) => `${title}: ${subtitle}`)).toEqual(
      expect.arrayContaining(["Today: 1,234 tokens", "Last 7 Days: 1,234 tokens", "All Time: 1,001,234 tokens"]),
    );
    await view.select("Today");
    await view.waitFor("Time Online: 1 h 30 min");
    expect(view.text()).toContain("Block Hours: 3.0");
    await view.run("Export as CSV");
    await eventually(() => expect(view.toast()?.message).toMatch(/torbiz-contribution-.*\.csv$/));
    const [file = ""] = readdirSync(here.paths.logs).filter((name) => name.endsWith(".csv"));
    expect(readFileSync(join(here.paths.logs, file), "utf8")).toContain(`${today},3,1234,1.50,3.00`);
  });

  it("shows who serves the model's blocks as a bar, with its own part and the gaps", async () => {
    const coverage = [[1, 12], [2, 4], [0, 6], [1, 8]]; // prettier-ignore
    const seeder = report({
      blocks: { loaded: 12, total: 12, start: 4, end: 16 },
      swarm: { peers: 3, coverage },
    });
    await serve({ image: {}, share: () => container({ Status: "running", Running: true }, { seeder }) });
    const view = await open();
    await view.waitFor("Status · Sharing");
    await view.select("Swarm");
    await view.waitFor("Blocks 16 to 21 are missing.");
    for (const text of [
      "0 ▒▒▒▒████████████······▒▒▒▒▒▒▒▒ 29",
      "█ this computer  ▒ others  · missing",
      "Other Peers: 3",
      "This Computer: 4 to 15",
      "Missing: 16 to 21",
    ]) {
      expect(view.text()).toContain(text);
    }
    expect(titles(view)).toContain("Show Swarm Map");
  });

  it("tells how far a download is, and that the hub has fallen silent", async () => {
    const download = { file: "model.safetensors", done: 1_200_000_000, total: 3_500_000_000, files: 2, filesDone: 1 };
    const message = "huggingface.co has sent nothing for 30 s. Trying again.";
    const seeder = report({ stage: "downloading", message, download, since: null });
    await serve({ image: {}, share: () => container({ Status: "running", Running: true }, { seeder }) });
    const view = await open();
    await view.waitFor("Stage 5 of 6: Downloading model.safetensors (34%, 1.2 of 3.5 GB)");
    expect(view.text()).toContain(message);
    expect(view.text()).toContain("Loading blocks: Now");
  });

  it("says plainly that nobody else is there, and that nobody can come where the swarm isn't open", async () => {
    const seeder = report({ swarm: { peers: 0, coverage: [[1, 30]] } });
    await serve({ image: {}, share: () => container({ Status: "running", Running: true }, { seeder }) });
    const view = await open();
    await view.waitFor("Status · Sharing");
    expect(view.items().map(({ title, subtitle }) => `${title}: ${subtitle}`)).toContain("Swarm: 0 peers");
    await view.select("Swarm");
    await view.waitFor("Every block is served.");
    expect(view.text()).toContain("Other Peers: 0: Nobody Else Now");
    expect(view.text()).toContain("this swarm is open to this computer only");
    expect(titles(view)).not.toContain("Copy Invite");
  });

  it("says that a container of its name isn't its own", async () => {
    await serve({ share: () => container({ Status: "running", Running: true }, { labels: {} }) });
    const view = await open();
    await view.waitFor("Torbiz didn't make it");
    expect(titles(view)[0]).toBe("Try Again");
  });

  it("tells of one that ended, and offers the models all the same", async () => {
    await serve({ image: {}, share: () => container({ Status: "exited", ExitCode: 3 }) });
    const view = await open();
    await view.waitFor("Share Ended");
    await view.waitFor("exit code 3");
    expect(titles(view).slice(0, 3)).toEqual(["Retry", "View Log", "Clear"]);
    expect(view.items().map(({ title }) => title)).toContain("SmolLM2 135M Instruct");
    await view.run("Copy Details");
    expect(JSON.stringify(host.clipboard)).toMatch(/\([a-z]+(-[a-z]+)*\)\\n/);
  });
});

it("says what is wrong when its own home folder can't be written, and goes on when it can", async () => {
  await serve({ image: {} });
  const file = join(folder, "file");
  writeFileSync(file, "");
  const view = await open({ env: { TORBIZ_HOME: join(file, "home") } });
  await view.waitFor("can't be made or written");
  rmSync(file);
  await view.run("Try Again");
  await view.waitFor("Models");
  expect(existsSync(join(file, "home", "run"))).toBe(true);
});
