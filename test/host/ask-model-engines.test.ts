import { existsSync, mkdirSync, readdirSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { lookAtAskEnvironment } from "../../src/lib/ask/ask-environments";
import { readAskSettings } from "../../src/lib/ask/ask-settings";
import { cancelChoiceDownload, isChoiceDownloading } from "../../src/lib/ask/choice-download";
import { findLocalModel, LOCAL_MODELS } from "../../src/lib/ask/local-models";
import { cancelPull, isDownloading, modelFile } from "../../src/lib/ask/model-download";
import { writeInvite } from "../../src/lib/sharing/invite";
import { PETALS_VERSION } from "../../src/lib/version";
import { HubProcess } from "../hub-process";
import { HubStandIn } from "../unit/ask/hub-stand-in";
import { CONFIG } from "../unit/hub/scripted-hub";
import { AskHome, rows, titles } from "./ask-home";
import { ScriptedOpenAi } from "./scripted-openai";

/** The built Ask Model and what can answer it: this computer, other servers, models that come and go, the swarm. */

let home: AskHome;

beforeAll(async () => {
  home = await AskHome.make();
}, 600_000);

afterEach(() => home.afterTest());
afterAll(() => home.remove());

/** Of the preferences. */
const TOKEN = { huggingFaceToken: "hf_secret" };

/** What the swarm needs isn't there: it is made. */
const PREPARES_PYTHON = /\*.*Python.*…\*/;

it("is chosen at the first run, answers, stops, continues, and takes a follow-up", async () => {
  const view = await home.open();
  await view.waitFor("Choose What Answers");
  await view.waitFor("- SmolLM2 135M Instruct");
  expect(view.text()).toMatch(/- SmolLM2 135M Instruct .*For Trying Out/);
  expect(rows(view).at(-1)).toContain("Choose Another…");
  await view.search("What is the capital of France?");
  await view.run("Use SmolLM2 135M Instruct and Send", { item: "SmolLM2 135M Instruct" });
  await view.waitFor(/SmolLM2 135M Instruct · This Computer · \d+ tokens · first after \d+\.\d\d s/, {
    timeoutMs: 120_000,
  });
  expect(view.text()).toContain("> What is the capital of France?");
  expect(rows(view)).toEqual(["turn-0: What is the capital of France? <"]);
  expect(titles(view)[0]).toBe("Copy Answer");

  await view.search("Write a long story about the sea.");
  await view.press("enter");
  await view.waitFor(/> Write a long story about the sea\.\n\s*\n\s+[^*\s]/);
  await view.press({ modifiers: ["cmd"], key: "." });
  await view.waitFor("· stopped");
  expect(rows(view)).toEqual(["turn-1: Write a long story about the sea. <", "turn-0: What is the capital of France?"]);
  expect(titles(view)[0]).toBe("Continue");
  await view.press("enter");
  await view.waitFor(() => titles(view).includes("Stop"));
  await view.press({ modifiers: ["cmd"], key: "." });
  await view.waitFor("· stopped");
}, 300_000);

it("offers a server that runs at its usual port first, and Enter has it answer", async () => {
  home.choose();
  const ollama = new ScriptedOpenAi();
  await ollama.listen(11434);
  ollama.script = () => ["At once."];
  try {
    const view = await home.open();
    await view.waitFor("> Ollama");
    await view.waitFor("- SmolLM2 135M Instruct");
    const offers = rows(view).map((row) => row.replace(/^.*?: (?=\S+( |$))/, ""));
    expect(offers[0]).toBe("Ollama <");
    expect(offers.slice(-2)).toEqual(["SmolLM2 135M Instruct", "Choose Another…"]);
    expect(view.text()).toContain("Runs on this computer already, with scripted.");
    await view.search("Who are you?");
    await view.press("enter");
    await view.waitFor("At once.");
    await view.waitFor("scripted · http://127.0.0.1:11434/v1");
    expect(ollama.requests.map(({ messages }) => messages)).toEqual([[{ role: "user", content: "Who are you?" }]]);
    const lastChoice = { kind: "server", baseUrl: ollama.baseUrl, model: "scripted" };
    expect(readAskSettings(home.surroundings.paths)).toMatchObject({ lastChoice });
  } finally {
    await ollama.close();
  }
});

it("asks once before a question goes to strangers, and keeps it where the answer is no", async () => {
  const { paths } = home.surroundings;
  const view = await home.open();
  await view.run("Change Model…");
  await view.run("Use Another…");
  await view.type("kind", "join");
  await view.type("peers", "10.0.0.5");
  await view.run("Use");
  await view.waitFor('"10.0.0.5" is neither private, public, an invite nor a peer\'s address.');
  await view.type("kind", "public");
  await view.run("Use");
  const lastChoice = { kind: "swarm", swarm: { kind: "public" } };
  await home.host.waitFor(() => readAskSettings(paths).lastChoice?.kind === "swarm");
  expect(readAskSettings(paths)).toMatchObject({ lastChoice });
  home.host.confirm = () => false;
  await view.search("May I?");
  await view.press("enter");
  await view.waitFor("**Strangers could read this question**");
  expect(home.host.alerts).toMatchObject([{ title: "Let Strangers’ Computers See Your Questions?", confirmed: false }]);
  expect(readAskSettings(paths).allowedStrangersAt).toBeUndefined();
  home.host.confirm = () => true;
  await view.run("Ask Again");
  await home.host.waitFor(() => readAskSettings(paths).allowedStrangersAt !== undefined);
  expect(home.host.alerts).toHaveLength(2);
  await home.host.close();
  const next = await home.open({ prompt: "And now?" });
  await next.waitFor(PREPARES_PYTHON);
  expect(home.host.alerts).toEqual([]);
});

it("says why what was chosen can't be set up", async () => {
  const view = await home.open({
    env: { TORBIZ_HOME: join(home.folder, "bare") },
    preferences: { pythonPath: join(home.folder, "no-such-python") },
  });
  await view.run("Use SmolLM2 135M Instruct", { item: "SmolLM2 135M Instruct" });
  await view.waitFor("SmolLM2 135M Instruct Isn't Ready");
  expect(view.text()).toContain("**No fitting Python was found**");
  expect(titles(view)).toEqual(expect.arrayContaining(["Try Again", "Open Preferences"]));
  // One that a person chose isn't replaced behind their back.
  expect(titles(view)).not.toContain("Get Python");
});

it("tells why a server can't be asked, and goes on with another engine", async () => {
  home.choose({ kind: "server", baseUrl: "http://127.0.0.1:9/v1", model: "x" });
  const view = await home.open({ prompt: "Anybody?" });
  await view.waitFor("**The server can't be reached**");
  expect(titles(view).slice(0, 2)).toEqual(["Ask Again", "Change Model…"]);
  expect(view.text()).not.toMatch(/ECONN|--engine|\bat .*:\d+:\d+/);
  await view.run("Change Model…");
  await view.run("Use", { item: "SmolLM2 135M Instruct" });
  await view.run("Ask Again");
  // What it waits for stands there until then, in italics; an answer may begin with a star as well.
  await view.waitFor(/> Anybody\?\n\s*\n\s+(?!\*[^*\n]*…\*)\S/);
  await view.run("Stop");
  await view.waitFor("SmolLM2 135M Instruct · This Computer");
}, 120_000);

it("goes on with another server, or a model's file, that a person names", async () => {
  home.choose({ kind: "server", baseUrl: "http://127.0.0.1:9/v1", model: "x" });
  const view = await home.open();
  const useAnother = async () => {
    await view.run("Change Model…");
    await view.run("Use Another…", { item: "SmolLM2 135M Instruct" });
  };
  await useAnother();
  await view.type("address", "nowhere at all");
  await view.submit();
  await view.waitFor("error:");
  await view.type("address", home.other.baseUrl);
  await view.submit();
  await view.waitFor('"Ask 127.0.0.1');
  await view.search("Who are you?");
  await view.press("enter");
  await view.waitFor("Yes.");
  await view.waitFor("scripted · http://127.0.0.1");

  const [starter] = LOCAL_MODELS;
  await useAnother();
  await view.type("kind", "file");
  await view.type("file", [join(home.folder, "missing.gguf")]);
  await view.submit();
  await view.waitFor("error:");
  await view.type("file", [modelFile(home.surroundings.paths, starter)]);
  await view.submit();
  await view.waitFor('"Ask SmolLM2-135M-Instruct-F16');
  await view.search("Say yes.");
  await view.press("enter");
  await view.waitFor("SmolLM2-135M-Instruct-F16 · This Computer", { timeoutMs: 60_000 });
}, 120_000);

describe("a model that is downloaded", () => {
  const model = findLocalModel("granite-4.1-3b");

  it("goes on when the window closes, is found again, and is cancelled", async () => {
    const hub = new HubStandIn();
    await hub.listen();
    // Its memory is never touched beyond what is sent of it.
    hub.offer({ content: Buffer.alloc(model.bytes), sha256: model.hub?.sha256, speed: 20_000_000 });
    const { paths } = home.surroundings;
    try {
      const view = await home.open({ env: { HF_ENDPOINT: hub.url, NO_PROXY: "127.0.0.1" }, preferences: TOKEN });
      await view.run("Change Model…");
      await view.run("Download and Use", { item: model.title });
      await view.waitFor(`Setting Up ${model.title}`);
      await view.waitFor(/Downloading Granite 4\.1 3B: 0\.\d of 2\.1 GB/);
      await home.host.close();
      expect(await isDownloading(paths, model)).toBe(true);
      const again = await home.open();
      await again.waitFor(`Setting Up ${model.title}`);
      await again.waitFor(/Downloading Granite 4\.1 3B: 0\.[1-9] of 2\.1 GB, \d+ (s|min) left/);
      expect(hub.requests.filter(({ place }) => place === "store")).toHaveLength(1);
      const tokens = hub.requests.flatMap(({ place, authorization }) => (place === "hub" ? [authorization] : []));
      expect(new Set(tokens)).toEqual(new Set([`Bearer ${TOKEN.huggingFaceToken}`]));
      await again.run("Cancel", { item: `Setting Up ${model.title}` });
      await again.waitFor(() => !again.text().includes("Setting Up"));
      expect(await isDownloading(paths, model)).toBe(false);
    } finally {
      await cancelPull(paths, model);
      await hub.close();
    }
  }, 120_000);

  it("is removed when that is confirmed", async () => {
    const { paths } = home.surroundings;
    const file = modelFile(paths, model);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, "GGUF");
    truncateSync(file, model.bytes);
    const view = await home.open();
    await view.run("Change Model…");
    home.host.confirm = () => false;
    await view.run("Remove from This Computer", { item: model.title });
    expect(home.host.alerts).toMatchObject([
      { title: "Remove Granite 4.1 3B?", message: expect.stringContaining("2.1 GB"), confirmed: false },
    ]);
    expect(existsSync(file)).toBe(true);
    home.host.confirm = () => true;
    await view.run("Remove from This Computer");
    await view.waitFor("State: Not Downloaded");
    expect(titles(view)).toContain("Download and Use");
    expect(readdirSync(paths.models)).not.toContain(model.id);
  });
});

describe("a swarm's model of the hub", () => {
  const REPOSITORY = "Maker/Tiny-Llama";
  const WEIGHTS = Buffer.alloc(8_000_000, "some weights ");
  const FILES = {
    "config.json": JSON.stringify(CONFIG),
    "tokenizer.json": "{}",
    "model.safetensors": WEIGHTS,
  };

  it("comes with the preferences' token, goes on when the window closes, is found again, and is cancelled", async () => {
    const { surroundings } = home;
    const root = join(home.folder, "hub");
    mkdirSync(join(root, REPOSITORY), { recursive: true });
    for (const [name, content] of Object.entries(FILES)) writeFileSync(join(root, REPOSITORY, name), content);
    // The Python that downloads needs nothing of what else is in a swarm's environment.
    const { python } = lookAtAskEnvironment(surroundings, "local");
    symlinkSync(dirname(dirname(python)), lookAtAskEnvironment(surroundings, "swarm").folder);
    const hub = await HubProcess.start(python, root);
    const { sha } = (await (await fetch(`${hub.url}/api/models/${REPOSITORY}`)).json()) as { sha: string };
    const peers = [`/ip4/10.0.0.7/tcp/31330/p2p/${"Q".repeat(46)}`];
    const invite = { model: REPOSITORY, revision: sha, dhtPrefix: "Tiny-Llama-hf", peers, petals: PETALS_VERSION };
    const isComing = () => isChoiceDownloading(surroundings, { kind: "swarm", model: REPOSITORY });
    const options = { env: { HF_ENDPOINT: hub.url, NO_PROXY: "127.0.0.1" }, preferences: TOKEN };
    try {
      await hub.fail({ file: "*.safetensors", bytes_per_second: 100_000 });
      const view = await home.open(options);
      await view.run("Change Model…");
      await view.run("Use Another…");
      await view.type("kind", "join");
      await view.type("peers", writeInvite(invite));
      await view.run("Use");
      await view.waitFor("Setting Up Tiny-Llama");
      await view.waitFor(/Downloading Tiny-Llama: 0\.\d of 0\.0 GB/);
      const asked = (await hub.requests()).filter(({ place }) => place !== "store");
      expect(asked.map(({ place }) => place)).toEqual(expect.arrayContaining(["api", "hub"]));
      expect(new Set(asked.map(({ token }) => token))).toEqual(new Set([TOKEN.huggingFaceToken]));
      await home.host.close();
      expect(await isComing()).toBe(true);
      expect(readAskSettings(surroundings.paths).lastChoice).toMatchObject({ swarm: { invite } });
      const again = await home.open(options);
      await again.waitFor("Setting Up Tiny-Llama");
      await again.waitFor(/Downloading Tiny-Llama: /);
      await again.run("Cancel", { item: "Setting Up Tiny-Llama" });
      await again.waitFor(() => !again.text().includes("Setting Up"));
      expect(await isComing()).toBe(false);
    } finally {
      await cancelChoiceDownload(surroundings, { kind: "swarm", model: REPOSITORY });
      await hub.close();
    }
  }, 120_000);
});
