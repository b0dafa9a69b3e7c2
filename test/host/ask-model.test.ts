import { once } from "node:events";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { AskHome, rows, titles } from "./ask-home";
import type { ScriptedOpenAi } from "./scripted-openai";

/** The built Ask Model in conversations, with a real ask server and a server that answers what a test says. */

let home: AskHome;
let other: ScriptedOpenAi;

beforeAll(async () => {
  home = await AskHome.make();
  other = home.other;
}, 600_000);

beforeEach(() => home.chooseOther());
afterEach(() => home.afterTest());
afterAll(() => home.remove());

/** A stream that a test lets go on. */
function gate(): { open: () => void; passed: Promise<void> } {
  let open = () => undefined as void;
  const passed = new Promise<void>((resolve) => (open = resolve));
  return { open, passed };
}

it("begins with the argument, or with what was typed into the launcher", async () => {
  const view = await home.open({ prompt: "By argument?" });
  await view.waitFor("Yes.");
  await view.waitFor(/scripted · http:\/\/127\.0\.0\.1\S+ · 1 token ·/);
  await home.host.close();
  const other = await home.open({ fallbackText: "By *fallback*?" });
  await other.waitFor("Yes.");
  expect(other.text()).toContain("> By &#42;fallback&#42;?");
});

it("takes a follow-up, asks anew, and asks what was edited, each with what went before", async () => {
  const view = await home.open();
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
  await home.host.waitFor(() => home.host.clipboard.text?.includes("Uno") ?? false);
  expect(home.host.clipboard.text).toContain("## Question\n\nUno\n\n## Answer\n\nAnother.");
});

it("shows earlier versions of an answer and of a question, and goes on from the one that is shown", async () => {
  const asked = () => other.requests.at(-1)?.messages.map(({ content }) => content);
  const view = await home.open();
  const answers = async (answer: string, act: () => Promise<void>) => {
    other.script = () => [answer];
    await act();
    await view.waitFor(() => view.text().includes(answer) && !view.isLoading());
  };
  const send = async (question: string) => {
    await view.search(question);
    await view.press("enter");
  };
  await answers("First.", () => send("One"));
  await answers("Second.", () => send("Two"));
  expect(titles(view)).not.toContain("Previous Version");
  await answers("First, anew.", () => view.run("Regenerate", { item: "One" }));
  await view.waitFor("> One (2 of 2)");
  expect(rows(view)).toEqual(["turn-0: One <"]);
  expect(titles(view)).not.toContain("Next Version");

  await view.press({ modifiers: ["cmd"], key: "[" });
  await view.waitFor("> One (1 of 2)");
  expect(view.text()).toContain("First.");
  expect(rows(view)).toEqual(["turn-1: Two", "turn-0: One <"]);
  await answers("Third.", () => send("Three"));
  expect(asked()).toEqual(["One", "First.", "Two", "Second.", "Three"]);
  expect(rows(view)).toEqual(["turn-2: Three <", "turn-1: Two", "turn-0: One"]);

  await view.select("One");
  await view.press({ modifiers: ["cmd"], key: "]" });
  await view.waitFor("> One (2 of 2)");
  await view.waitFor("First, anew.");
  await view.run("Edit and Ask Again…");
  await view.type("question", "Uno");
  await answers("Primo.", () => view.submit());
  await view.waitFor("> Uno (3 of 3)");
  await view.run("Previous Version");
  await view.waitFor("> One (2 of 3)");
  await view.run("Previous Version");
  await view.waitFor("> One (1 of 3)");
  expect(rows(view)).toEqual(["turn-2: Three", "turn-1: Two", "turn-0: One <"]);
  await view.run("Copy Conversation");
  await home.host.waitFor(() => home.host.clipboard.text?.includes("Third.") ?? false);
  expect(home.host.clipboard.text).not.toContain("Primo.");
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
  const view = await home.open({ prompt: "Count" });
  await view.waitFor("One,");
  await home.host.close();
  first.open();
  const fresh = await home.open();
  await fresh.run("Show Answer", { item: "Count" });
  await fresh.waitFor("One, two,");
  await home.host.close();
  const again = await home.open({ preferences: { openWith: "recent" } });
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
  const support = join(home.folder, "support");
  const view = await home.open({ support });
  await view.search("Not yet");
  await home.host.close();
  const again = await home.open({ support });
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
  const view = await home.open();
  await view.run("Ask About Selected Text…");
  await view.waitFor("Nothing Is Selected");
  await view.run("Ask About Clipboard…");
  await view.waitFor("The Clipboard Has No Text");
  home.host.selectedText = "Some <text>";
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
  const { paths } = home.surroundings;
  const exported = (extension: string) => {
    const [name = ""] = readdirSync(paths.logs).filter((one) => one.endsWith(extension));
    return readFileSync(join(paths.logs, name), "utf8");
  };
  const view = await home.open({ prompt: "Find the needle" });
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
  expect(exported(".md")).toMatch(/^# Haystack\n/);
  await view.run("Export as JSON");
  await home.host.waitFor(() => readdirSync(paths.logs).some((name) => name.endsWith(".json")));
  expect(JSON.parse(exported(".json"))).toMatchObject({
    title: "Haystack",
    messages: [
      { role: "user", content: "Find the needle" },
      { role: "assistant", content: "Yes.", engine: { model: "scripted" }, reason: "stop" },
    ],
  });

  const kept = readdirSync(paths.conversations);
  expect(kept.length).toBeGreaterThan(1);
  home.host.confirm = () => false;
  await view.run("Delete");
  expect(home.host.alerts.at(-1)).toMatchObject({ title: "Delete “Haystack”?", confirmed: false });
  await view.run("Delete All");
  expect(home.host.alerts.at(-1)).toMatchObject({ title: "Delete All Conversations?", confirmed: false });
  expect(readdirSync(paths.conversations)).toEqual(kept);
  home.host.confirm = () => true;
  await view.run("Delete");
  await view.waitFor("Empty: Nothing Found");
  expect(readdirSync(paths.conversations)).toHaveLength(kept.length - 1);
  await view.search("");
  await view.run("Delete All");
  await view.waitFor("Empty: No Conversations");
  expect(readdirSync(paths.conversations)).toEqual([]);
  await view.back();
  await view.waitFor("Empty: Ask a Question");
});

it("copies an answer and a question as they were written, and closes the window", async () => {
  const answer = "# Yes\n\n*42*, and <b>not</b> 43\n";
  other.script = () => [answer.slice(0, 9), answer.slice(9)];
  const view = await home.open({ prompt: "What is *6* × 7?" });
  await view.waitFor("42");
  await view.waitFor(() => !view.isLoading());
  await view.press("enter");
  await home.host.waitFor(() => home.host.huds.length > 0);
  expect([home.host.clipboard.text, home.host.huds]).toEqual([answer, ["Copied Answer"]]);
  const again = await home.open({ preferences: { openWith: "recent" } });
  await again.waitFor("42");
  await again.run("Copy Question");
  await home.host.waitFor(() => home.host.huds.length > 0);
  expect([home.host.clipboard.text, home.host.huds]).toEqual(["What is *6* × 7?", ["Copied Question"]]);
});

it("shows 20,000 tokens at most 20 times a second, to the last one", async () => {
  const view = await home.open();
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
