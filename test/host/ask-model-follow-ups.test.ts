import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { rememberAskSettings } from "../../src/lib/ask/ask-settings";
import { ConversationStore } from "../../src/lib/ask/conversations/store";
import { findLocalModel } from "../../src/lib/ask/local-models";
import { openSurroundings } from "../../src/lib/context";
import { lend, localEnvironment } from "../unit/ask/local-environment";
import { endAskServer } from "../end-ask-server";
import { AskHome, rows, titles } from "./ask-home";
import { ScriptedOpenAi } from "./scripted-openai";

/** The built Ask Model when a conversation is come back to: who answers there, and what was never asked. */

let home: AskHome;
const second = new ScriptedOpenAi();

beforeAll(async () => {
  home = await AskHome.make();
  await second.listen();
}, 600_000);

afterEach(async () => {
  await home.afterTest();
  second.requests.length = second.looks.length = 0;
});
afterAll(async () => {
  await home.remove();
  await second.close();
});

const asked = (server: ScriptedOpenAi) => server.requests.at(-1)?.messages.map(({ content }) => content);

it("asks on where a conversation was answered, until another engine is chosen, and gives a key to its own server only", async () => {
  home.chooseOther();
  const first = await home.open({ prompt: "Who are you?" });
  await first.waitFor("scripted · http://127.0.0.1");
  await home.host.close();
  home.choose({ kind: "server", baseUrl: second.baseUrl, model: "scripted" });

  // As people type it: with a slash at its end.
  const view = await home.open({ preferences: { serverUrl: `${second.baseUrl}/`, serverKey: "sk-canary" } });
  const send = async (question: string, server: ScriptedOpenAi, answer: string) => {
    server.script = () => [answer];
    await view.search(question);
    await view.press("enter");
    await view.waitFor(() => view.text().includes(answer) && !view.isLoading());
  };
  const openFirst = async () => {
    await view.run("Conversations…");
    await view.run("Open", { item: "Who are you?" });
    await view.waitFor(/List Who are you\?[^]*[->] Who are you\?/);
  };
  await send("New?", second, "New.");
  expect(asked(second)).toEqual(["New?"]);
  expect(second.requests.at(-1)?.authorization).toBe("Bearer sk-canary");
  await openFirst();
  await view.run("Change Model…");
  const chosen = () =>
    view.items().find(({ node }) => JSON.stringify(node.props.accessories ?? []).includes("Answers Now"));
  await view.waitFor(() => chosen()?.title === "scripted");
  await view.select("scripted");
  await view.waitFor(`Where: ${home.other.baseUrl}`);
  await view.back();
  await send("And here?", home.other, "The first.");
  expect(asked(home.other)).toEqual(["Who are you?", "Yes.", "And here?"]);
  expect(home.other.requests.map(({ authorization }) => authorization)).toEqual([undefined, undefined]);
  expect(second.requests).toHaveLength(1);

  await view.run("Change Model…");
  await view.run("Use", { item: new URL(second.baseUrl).host });
  await send("And now?", second, "The second.");
  expect(asked(second)).toEqual(["Who are you?", "Yes.", "And here?", "The first.", "And now?"]);
  await view.run("New Conversation");
  await send("Again?", second, "Again.");
  expect(asked(second)).toEqual(["Again?"]);
  await openFirst();
  await send("Still?", second, "Still.");
  expect(asked(second)).toHaveLength(7);
  expect(home.other.requests).toHaveLength(2);
}, 120_000);

it("says that what answered is gone, brings nothing back unasked, and sends the question once something is chosen", async () => {
  const { paths } = home.surroundings;
  const store = new ConversationStore(paths.conversations);
  const conversation = await store.create();
  const parent = await store.appendMessage(conversation, { role: "user", content: "Long ago?", parent: null });
  const granite = findLocalModel("granite-4.1-3b");
  const at = new Date().toISOString();
  const engine = { kind: "this", model: granite.id, title: granite.title, where: "This Computer" };
  const lines = [
    { type: "generation", id: "g-1", parent, continues: null, engine, at },
    { type: "delta", of: "g-1", seq: 1, text: "Yes, long ago." },
    { type: "end", of: "g-1", reason: "stop", error: null, usage: {}, route: null, at },
  ];
  appendFileSync(store.pathOf(conversation), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  home.chooseOther();
  const view = await home.open({ preferences: { openWith: "recent" } });
  await view.waitFor(`${granite.title} Is No Longer Here`);
  expect(view.text()).toContain(`${granite.title} answered in this conversation, and is no longer on this computer.`);
  expect(titles(view).slice(0, 2)).toEqual(["Change Model…", `Download and Use ${granite.title}`]);
  await view.search("And today?");
  await view.run("Regenerate", { item: "Long ago?" });
  expect(view.toast()?.title).toBe("Choose What Answers First");
  expect(view.text()).not.toContain("Setting Up");
  await view.run("Change Model…");
  await view.run("Use Another…", { item: "SmolLM2 135M Instruct" });
  await view.type("address", home.other.baseUrl);
  await view.submit();
  await view.waitFor("> And today?");
  await view.waitFor("scripted · http://127.0.0.1");
  expect(asked(home.other)).toEqual(["Long ago?", "Yes, long ago.", "And today?"]);
  expect(view.text()).not.toContain("Is No Longer Here");
});

it("shows a question whose window closed before it could be asked, and asks it by Enter", async () => {
  const env = { TORBIZ_HOME: join(home.folder, "new") };
  const { paths } = openSurroundings({ runtimeFiles: process.cwd(), env: { ...process.env, ...env } });
  rememberAskSettings(paths, { lastChoice: { kind: "server", baseUrl: home.other.baseUrl, model: "scripted" } });
  const view = await home.open({ env, prompt: "Too early?" });
  await view.waitFor(/\*.*Python.*…\*/);
  await home.host.close();
  lend({ environment: (await localEnvironment()).folder }, paths);

  const again = await home.open({ env });
  await again.waitFor("> Too early? (Not Asked)");
  await again.press("enter");
  await again.waitFor("**The question was not asked**");
  expect(rows(again)).toEqual(["turn-0: Too early? <"]);
  expect(again.text()).toContain("The window closed before the question could be asked.");
  expect(home.other.requests).toEqual([]);
  expect(titles(again)[0]).toBe("Ask");
  await again.press("enter");
  await again.waitFor("scripted · http://127.0.0.1");
  endAskServer(paths);
  expect(asked(home.other)).toEqual(["Too early?"]);
  expect(again.text()).not.toContain("was not asked");
  await home.host.close();
  const answered = await home.open({ env });
  await answered.waitFor("Empty: Ask a Question");
}, 120_000);
