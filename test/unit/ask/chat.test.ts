import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Chat, type ChatState, type Request } from "../../../src/components/ask/chat";
import { rememberAskSettings } from "../../../src/lib/ask/ask-settings";
import { ConversationStore } from "../../../src/lib/ask/conversations/store";
import { openSurroundings, type Surroundings } from "../../../src/lib/context";

const STRANGERS = { choice: { kind: "swarm", swarm: { kind: "public" } } } as const;

let root: string;
let surroundings: Surroundings;
let store: ConversationStore;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "chat-"));
  const env = { PATH: process.env.PATH, TORBIZ_HOME: root, TORBIZ_PYTHON: "/nonexistent" };
  surroundings = openSurroundings({ runtimeFiles: process.cwd(), env, home: root });
  store = new ConversationStore(surroundings.paths.conversations);
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

/** Asks strangers, who are allowed while it is asked. Resolves with why it fails all the same: there is no Python. */
async function failureOf(chat: Chat, request: Request): Promise<ChatState["failure"]> {
  await chat.ask(request, STRANGERS);
  return new Promise((resolve) => {
    const forget = chat.subscribe(() => {
      forget();
      resolve(chat.snapshot().failure);
    });
  });
}

function chatThatAllows(): Chat {
  const onConsent = () => {
    rememberAskSettings(surroundings.paths, { allowedStrangersAt: new Date().toISOString() });
    return Promise.resolve(true);
  };
  return new Chat({ surroundings, store, onConsent });
}

it("asks a question once that needs a person's yes, and names it where it is asked again", async () => {
  const chat = chatThatAllows();
  const failure = await failureOf(chat, { prompt: "May I?" });
  const { conversation } = chat.snapshot();
  const [question] = conversation?.branch() ?? [];
  expect(failure).toMatchObject({ error: { code: "python-missing" }, again: { regenerate: question?.id } });
  expect(conversation?.nodes.size).toBe(1);
});

it("goes on from where an answer ended after a person's yes, too", async () => {
  const id = await store.create();
  const question = await store.appendMessage(id, { role: "user", content: "Count.", parent: null });
  const engine = { kind: "swarm", model: "starter", title: "Starter", where: "Swarm" };
  const part = [
    { type: "generation", id: "g-1", parent: question, continues: null, engine, at: new Date().toISOString() },
    { type: "delta", of: "g-1", seq: 1, text: "One, two" },
  ];
  appendFileSync(store.pathOf(id), part.map((line) => `${JSON.stringify(line)}\n`).join(""));
  await store.fail(id, "g-1", { code: "answer-cut", message: "It broke off." });

  const chat = chatThatAllows();
  await chat.open(id);
  expect(await failureOf(chat, { continues: "g-1" })).toMatchObject({
    ...{ error: { code: "python-missing" }, again: { continues: "g-1" } },
  });
});
