import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import {
  runConversationsDelete,
  runConversationsExport,
  runConversationsList,
  runConversationsRename,
  runConversationsShow,
} from "../../../src/cli/conversations";
import { ConversationStore } from "../../../src/lib/ask/conversations/store";
import { openSurroundings } from "../../../src/lib/context";
import { recordedSession, type Recorded } from "./session";

const UNKNOWN = { code: "conversation-unknown" };
const UNASKED = "The window closed before the question could be asked.";

let root: string;
let session: Recorded;
let store: ConversationStore;
let id: string;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "conversations "));
  session = recordedSession(openSurroundings({ runtimeFiles: root, env: { TORBIZ_HOME: root }, home: homedir() }));
  store = new ConversationStore(session.surroundings.paths.conversations);
  id = await store.create();
  await store.appendMessage(id, { role: "user", content: "Which Café?", parent: null });
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

test("list, search, show, rename", async () => {
  await runConversationsList(session, { number: 5 });
  await runConversationsRename(session, id, "Places");
  await runConversationsList(session, { number: 5, search: "cafe" });
  await runConversationsShow(session, undefined);
  expect(session.events).toMatchObject([
    { conversations: [{ id, title: "Which Café?", turns: 1 }] },
    { id, title: "Places" },
    { conversations: [{ id, matches: [{ in: "question", excerpt: "Which Café?" }] }] },
    {
      ...{ id, title: "Places", damagedLines: 0 },
      messages: [{ role: "user", content: "Which Café?", notAsked: { code: "not-asked", message: UNASKED } }],
    },
  ]);
});

test("export makes a file that only its user can read, and never writes over one", async () => {
  const output = join(root, "out.json");
  await runConversationsExport(session, id, { format: "json", output });
  expect(JSON.parse(readFileSync(output, "utf8"))).toMatchObject({ id });
  expect(statSync(output).mode & 0o777).toBe(0o600);
  await expect(runConversationsExport(session, id, { format: "json", output })).rejects.toMatchObject({
    code: "usage",
  });
  const nowhere = join(root, "none", "out.md");
  await expect(runConversationsExport(session, id, { format: "markdown", output: nowhere })).rejects.toMatchObject({
    ...{ code: "usage", message: expect.stringContaining(nowhere) as string },
  });
  const inFile = join(output, "out.md");
  await expect(runConversationsExport(session, id, { format: "markdown", output: inFile })).rejects.toMatchObject({
    ...{ code: "usage", message: `${inFile} can't be written.`, hint: "Name another file." },
  });
  await runConversationsExport(session, undefined, { format: "markdown" });
  const content = `# Which Café?\n\n## Question\n\nWhich Café?\n\n_Not asked. ${UNASKED}_\n`;
  expect(session.events.at(-1)).toMatchObject({ content });
});

test("nothing is deleted without a yes", async () => {
  for (const [what, flags] of [
    [id, {}],
    [undefined, { all: true }],
    [undefined, {}],
    [id, { all: true, yes: true }],
  ] as const) {
    await expect(runConversationsDelete(session, what, flags)).rejects.toMatchObject({ code: "usage" });
  }
  expect(existsSync(store.pathOf(id))).toBe(true);
  await runConversationsDelete(session, id, { yes: true });
  await expect(runConversationsDelete(session, id, { yes: true })).rejects.toMatchObject(UNKNOWN);
  await expect(runConversationsShow(session, undefined)).rejects.toMatchObject(UNKNOWN);
  await store.create();
  await runConversationsDelete(session, undefined, { all: true, yes: true });
  expect(session.events).toMatchObject([{ deleted: 1 }, { deleted: 1 }]);
});
