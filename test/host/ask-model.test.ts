import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { readAskSettings, rememberAskSettings } from "../../src/lib/ask/ask-settings";
import { ensureLocalModel } from "../../src/lib/ask/local-model-files";
import { LOCAL_MODELS } from "../../src/lib/ask/local-models";
import { openSurroundings, type Surroundings } from "../../src/lib/context";
import { localEnvironment } from "../unit/ask/local-environment";
import { builtExtension } from "./built-extension";
import { RaycastHost, type CommandView } from "./raycast";
import { ScriptedOpenAi } from "./scripted-openai";

/** The built Ask Model with real ask servers: this computer's engine, and a server that answers what a test says. */

const [starter] = LOCAL_MODELS;
if (!starter) throw new Error("There is no starter model.");

let extension: string;
let folder: string;
let surroundings: Surroundings;
let host: RaycastHost;
let other: ScriptedOpenAi;

beforeAll(async () => {
  extension = await builtExtension();
  const environment = await localEnvironment();
  folder = mkdtempSync(join(tmpdir(), "ask "));
  const home = join(folder, "home");
  surroundings = openSurroundings({ runtimeFiles: process.cwd(), env: { ...process.env, TORBIZ_HOME: home } });
  const made = { ...surroundings, paths: { ...surroundings.paths, models: join(environment.folder, "../../models") } };
  mkdirSync(made.paths.models, { recursive: true });
  await ensureLocalModel({ surroundings: made, model: starter, environment });
  symlinkSync(environment.folder, join(surroundings.paths.envs, basename(environment.folder)));
  symlinkSync(join(made.paths.models, starter.id), join(surroundings.paths.models, starter.id));
  other = new ScriptedOpenAi();
  await other.listen();
}, 600_000);

afterEach(async () => {
  await host.close();
  other.requests.length = 0;
  other.script = () => ["Yes."];
});

afterAll(async () => {
  await other.close();
  const lock = join(surroundings.paths.run, "ask-local.lock");
  if (existsSync(lock)) process.kill(Number(readFileSync(lock, "utf8")), "SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

interface OpenOptions {
  prompt?: string;
  fallbackText?: string;
  preferences?: Record<string, unknown>;
  support?: string;
}

async function open({ prompt = "", fallbackText, preferences, support }: OpenOptions = {}): Promise<CommandView> {
  const { TORBIZ_PYTHON } = process.env;
  host = await RaycastHost.open({
    extension,
    support,
    env: { HOME: folder, TORBIZ_HOME: surroundings.paths.home, ...(TORBIZ_PYTHON && { TORBIZ_PYTHON }) },
    preferences,
  });
  return host.launch("ask-model", { arguments: { prompt }, fallbackText });
}

/** Asks the scripted server from now on. */
function askTheOther(): void {
  rememberAskSettings(surroundings.paths, {
    lastChoice: { kind: "server", baseUrl: other.baseUrl, model: "scripted" },
  });
}

const titles = (view: CommandView) => view.actions().map(({ title }) => title);
const rows = (view: CommandView) =>
  view.items().map(({ id, title, selected }) => `${id}: ${title}${selected ? " <" : ""}`);

/** A stream that a test lets go on. */
function gate(): { open: () => void; passed: Promise<void> } {
  let open = () => undefined as void;
  const passed = new Promise<void>((resolve) => (open = resolve));
  return { open, passed };
}

describe("on this computer", () => {
  it("is chosen at the first run, answers, stops, continues, and takes a follow-up", async () => {
    const view = await open();
    await view.waitFor("Choose What Answers");
    await view.waitFor("- SmolLM2 135M Instruct");
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
    expect(rows(view)).toEqual([
      "turn-1: Write a long story about the sea. <",
      "turn-0: What is the capital of France?",
    ]);
    expect(titles(view)[0]).toBe("Continue");
    await view.press("enter");
    await view.waitFor(() => titles(view).includes("Stop"));
    await view.press({ modifiers: ["cmd"], key: "." });
    await view.waitFor("· stopped");
  }, 300_000);
});

describe("a conversation", () => {
  beforeEach(askTheOther);

  it("begins with the argument, or with what was typed into the launcher", async () => {
    const view = await open({ prompt: "By argument?" });
    await view.waitFor("Yes.");
    await view.waitFor("scripted · http://127.0.0.1");
    await host.close();
    const other = await open({ fallbackText: "By *fallback*?" });
    await other.waitFor("Yes.");
    expect(other.text()).toContain("> By &#42;fallback&#42;?");
  });

  it("takes a follow-up, asks anew, and asks what was edited, each with what went before", async () => {
    const view = await open();
    other.script = ({ messages }) => [`Answer ${messages.length}.`];
    await view.search("One");
    await view.press("enter");
    await view.waitFor("Answer 1.");
    await view.waitFor(() => !view.isLoading());
    await view.search("Two");
    await view.press("enter");
    await view.waitFor("Answer 3.");
    await view.waitFor(() => !view.isLoading());
    expect(rows(view)).toEqual(["turn-1: Two <", "turn-0: One"]);
    expect(other.requests.at(-1)?.messages.map(({ content }) => content)).toEqual(["One", "Answer 1.", "Two"]);

    other.script = () => ["Another."];
    await view.run("Regenerate");
    await view.waitFor("Another.");
    await view.waitFor(() => !view.isLoading());
    expect(other.requests.at(-1)?.messages.map(({ content }) => content)).toEqual(["One", "Answer 1.", "Two"]);

    await view.run("Edit and Ask Again…", { item: "One" });
    await view.type("question", "Uno");
    await view.submit();
    await view.waitFor("> Uno");
    await view.waitFor(() => !view.isLoading());
    expect(rows(view)).toEqual(["turn-0: Uno <"]);
    expect(other.requests.at(-1)?.messages.map(({ content }) => content)).toEqual(["Uno"]);
    await view.run("Copy Conversation");
    expect(host.clipboard.text).toContain("## Question\n\nUno\n\n## Answer\n\nAnother.");
  });

  it("goes on when the window closes, is watched again, and is stopped and continued from where it was", async () => {
    const [first, second] = [gate(), gate()];
    other.script = async function* (_request, signal) {
      yield "One, ";
      await first.passed;
      yield "two, ";
      await Promise.race([second.passed, once(signal, "abort")]);
      yield "three.";
    };
    const view = await open({ prompt: "Count" });
    await view.waitFor("One,");
    await host.close();
    first.open();
    const fresh = await open();
    await fresh.run("Show Answer", { item: "Count" });
    await fresh.waitFor("One, two,");
    await host.close();
    const again = await open({ preferences: { openWith: "recent" } });
    await again.waitFor("One, two,");
    await again.press({ modifiers: ["cmd"], key: "." });
    await again.waitFor("· stopped");
    other.script = () => ["three."];
    await again.run("Continue");
    await again.waitFor("One, two, three.");
    expect(other.requests.at(-1)?.messages).toEqual([
      { role: "user", content: "Count" },
      { role: "assistant", content: "One, two, " },
    ]);
  });

  it("keeps what was typed and not sent, and says why nothing is sent", async () => {
    const support = join(folder, "support");
    const view = await open({ support });
    await view.search("Not yet");
    await host.close();
    const again = await open({ support });
    await again.waitFor("search: Not yet");
    const never = gate();
    other.script = async function* (_request, signal) {
      yield "…";
      await Promise.race([never.passed, once(signal, "abort")]);
    };
    await again.press("enter");
    await again.waitFor("Stop");
    await again.run("Send");
    expect(again.toast()?.title).toBe("Nothing to Send Yet");
    await again.search("Meanwhile");
    await again.run("Send");
    expect(again.toast()?.title).toBe("The Answer Isn't Finished");
    other.script = () => ["Now."];
    await again.run("Stop and Send");
    await again.waitFor("Now.");
    expect(rows(again)).toEqual(["turn-1: Meanwhile <", "turn-0: Not yet"]);
  });

  it("asks about what is selected and about the clipboard, and explains where there is nothing", async () => {
    const view = await open();
    await view.run("Ask About Selected Text…");
    await view.waitFor("Nothing Is Selected");
    await view.run("Ask About Clipboard…");
    await view.waitFor("The Clipboard Has No Text");
    host.selectedText = "Some <text>";
    await view.search("What is this?");
    await view.run("Ask About Selected Text…");
    await view.waitFor("Selected Text: Some <text>");
    await view.submit();
    await view.waitFor("Yes.");
    expect(other.requests.at(-1)?.messages[0]?.content).toBe("What is this?\n\nSome <text>");
    expect(view.text()).toContain("Some &#60;text&#62;");
    expect(view.text()).not.toContain("search: ");
  });

  it("is found, renamed, exported, and deleted when that is confirmed", async () => {
    const view = await open({ prompt: "Find the needle" });
    await view.waitFor("Yes.");
    await view.waitFor(() => !view.isLoading());
    await view.run("Conversations…");
    await view.waitFor("Find the needle");
    await view.search("needle");
    await view.waitFor(() => view.items().length === 1);
    await view.run("Rename…");
    await view.type("name", "Haystack");
    await view.submit();
    await view.waitFor(/^ +> Haystack/m);
    await view.run("Export as Markdown");
    await view.waitFor("Conversation Exported");
    const [file = ""] = readdirSync(surroundings.paths.logs).filter((name) => name.endsWith(".md"));
    expect(readFileSync(join(surroundings.paths.logs, file), "utf8")).toMatch(/^# Haystack\n/);
    host.confirm = () => false;
    await view.run("Delete All");
    expect(host.alerts.at(-1)).toMatchObject({ title: "Delete All Conversations?", confirmed: false });
    host.confirm = () => true;
    await view.run("Delete All");
    await view.search("");
    await view.waitFor("Empty: No Conversations");
    expect(readdirSync(surroundings.paths.conversations)).toEqual([]);
    await view.back();
    await view.waitFor("Empty: Ask a Question");
  });

  it("shows 20,000 tokens at most 20 times a second, to the last one", async () => {
    const view = await open();
    other.script = async function* () {
      for (let token = 1; token <= 20_000; token++) {
        yield `word${token} `;
        // Other than all at once, so that there is something to coalesce.
        if (token % 50 === 0) await delay(5);
      }
    };
    await view.search("Many");
    const [renders, began] = [view.renders, Date.now()];
    await view.press("enter");
    await view.waitFor(/20000 tokens/, { timeoutMs: 120_000 });
    expect(view.text()).toContain("word1 word2 ");
    expect(view.text()).toMatch(/word19999 word20000\b/);
    // Besides those of the stream: the field that is emptied, the row that appears, and its selection.
    expect(view.renders - renders).toBeLessThanOrEqual(((Date.now() - began) / 1_000) * 20 + 5);
    expect(view.renders - renders).toBeGreaterThan(10);
  }, 180_000);
});

it("asks once before a question goes to strangers, and keeps it where the answer is no", async () => {
  rememberAskSettings(surroundings.paths, { lastChoice: { kind: "swarm", swarm: { kind: "public" } } });
  const view = await open();
  host.confirm = () => false;
  await view.search("May I?");
  await view.press("enter");
  await view.waitFor("**Strangers could read this question**");
  expect(host.alerts).toMatchObject([{ title: "Let Strangers’ Computers See Your Questions?", confirmed: false }]);
  expect(readAskSettings(surroundings.paths).allowedStrangersAt).toBeUndefined();
  host.confirm = () => true;
  await view.run("Ask Again");
  await host.waitFor(() => readAskSettings(surroundings.paths).allowedStrangersAt !== undefined);
  expect(host.alerts).toHaveLength(2);
});

it("says why what was chosen can't be set up", async () => {
  const home = join(folder, "bare");
  host = await RaycastHost.open({
    extension,
    env: { HOME: folder, TORBIZ_HOME: home },
    preferences: { pythonPath: join(folder, "no-such-python") },
  });
  const view = await host.launch("ask-model");
  await view.run("Use SmolLM2 135M Instruct", { item: "SmolLM2 135M Instruct" });
  await view.waitFor("SmolLM2 135M Instruct Isn't Ready");
  expect(view.text()).toContain("**No fitting Python was found**");
  expect(titles(view)).toEqual(expect.arrayContaining(["Try Again", "Open Preferences"]));
  // One that a person chose isn't replaced behind their back.
  expect(titles(view)).not.toContain("Get Python");
});

it("tells why a server can't be asked, and goes on with another engine", async () => {
  const view = await open({ preferences: { serverUrl: "http://127.0.0.1:9/v1" }, prompt: "" });
  rememberAskSettings(surroundings.paths, {
    lastChoice: { kind: "server", baseUrl: "http://127.0.0.1:9/v1", model: "x" },
  });
  await host.close();
  const again = await open({ prompt: "Anybody?" });
  await again.waitFor("**The server can't be reached**");
  expect(titles(again)[0]).toBe("Ask Again");
  expect(again.text()).not.toMatch(/ECONN|--engine|\bat .*:\d+:\d+/);
  expect(view.hasEnded).toBe(true);
  await again.run("Change Model…");
  await again.run("Use", { item: "SmolLM2 135M Instruct" });
  await again.run("Ask Again");
  await again.waitFor(/> Anybody\?\n\s*\n\s+[^*\s]/);
  await again.run("Stop");
  await again.waitFor("SmolLM2 135M Instruct · This Computer");
}, 120_000);
