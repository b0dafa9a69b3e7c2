import fc from "fast-check";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConversationStore } from "../../../../src/lib/ask/conversations/store";

const UNKNOWN = expect.objectContaining({ code: "conversation-unknown" }) as Error;

let root: string;
let folder: string;
let store: ConversationStore;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "conversations "));
  folder = join(root, "c");
  store = new ConversationStore(folder);
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

const engine = { kind: "this", model: "m", title: "M", where: "This Computer" };

/** What an ask server does. */
function answer(id: string, parent: string, texts: readonly string[], at = new Date().toISOString()): string {
  const generation = `g-${Math.random().toString(36).slice(2)}`;
  const lines = [
    { type: "generation", id: generation, parent, continues: null, engine, at },
    ...texts.map((text, index) => ({ type: "delta", of: generation, seq: index + 1, text })),
  ];
  appendFileSync(store.pathOf(id), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  return generation;
}

/** Two questions never have the same time: then their order would be chance. */
const nextMillisecond = () => new Promise((resolve) => setTimeout(resolve, 2));

async function asked(content: string, ...texts: string[]): Promise<string> {
  const id = await store.create();
  const message = await store.appendMessage(id, { role: "user", content, parent: null });
  if (texts.length > 0) answer(id, message, texts);
  return id;
}

test("only its user can read a conversation", async () => {
  const id = await asked("Secret?");
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  expect(statSync(store.pathOf(id)).mode & 0o777).toBe(0o600);
});

test("what is written comes back, whatever its characters", async () => {
  const unit = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("\ud800", "\udfff", "\u2028", "\0", "\n"));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.string({ unit })), async (contents) => {
      const id = await store.create();
      let parent: string | null = null;
      for (const content of contents) parent = await store.appendMessage(id, { role: "user", content, parent });
      const conversation = await store.read(id);
      expect(conversation.damagedLines).toBe(0);
      expect(conversation.branch().map((node) => node.kind === "message" && node.content)).toEqual(contents);
    }),
    { numRuns: 40 },
  );
});

test("where another's writing broke off, a new line begins", async () => {
  const id = await asked("First?");
  appendFileSync(store.pathOf(id), '{"type":"delta","of":"g-1","seq":1,"te');
  await store.appendMessage(id, { role: "user", content: "Second?", parent: null });
  const conversation = await store.read(id);
  expect(conversation.damagedLines).toBe(1);
  expect([...conversation.nodes.values()].map((node) => node.kind === "message" && node.content)).toEqual([
    "First?",
    "Second?",
  ]);
  expect(readFileSync(store.pathOf(id), "utf8")).not.toContain("\n\n");
});

test("the list is newest first by what was asked, reads each file once, and leaves out what is empty or foreign", async () => {
  await store.create();
  const old = await asked(
    "What is\n the oldest   question of all, with so many words that they find no room in a title?",
  );
  await nextMillisecond();
  const middle = await asked("In the middle?", "An answer");
  await nextMillisecond();
  const young = await asked("The youngest?");
  writeFileSync(join(folder, "notes.txt"), "mine");
  writeFileSync(join(folder, "c-garbage.jsonl"), "\0garbage\n");
  // A new name is no new question.
  await nextMillisecond();
  await store.rename(old, "  The\toldest ");
  const time = new Date();
  utimesSync(store.pathOf(young), time, time);
  const list = await store.list();
  expect(list.map(({ id }) => id)).toEqual([young, middle, old]);
  expect(list.map(({ title }) => title)).toEqual(["The youngest?", "In the middle?", "The oldest"]);
  expect(list[1]).toMatchObject({ turns: 1, lastEngine: engine });
  expect((await store.list({ limit: 1 })).map(({ id }) => id)).toEqual([young]);

  // The same size and time: not read again.
  writeFileSync(store.pathOf(young), readFileSync(store.pathOf(young), "utf8").replace("youngest", "renamed."));
  utimesSync(store.pathOf(young), time, time);
  expect((await store.list())[0]?.title).toBe("The youngest?");
  await store.appendMessage(young, { role: "user", content: "More?", parent: null });
  expect((await store.list())[0]?.title).toBe("The renamed.?");
});

test("a title has whole words and whole characters, of one line", async () => {
  const titles = [];
  for (const question of [
    "What is\n the oldest   question of all, with so many words that they find no room?",
    "漢".repeat(80),
    "👩‍👩‍👧".repeat(80),
    " \n",
  ]) {
    titles.push((await store.read(await asked(question))).title);
  }
  expect(titles).toEqual([
    "What is the oldest question of all, with so many words that…",
    `${"漢".repeat(60)}…`,
    `${"👩‍👩‍👧".repeat(60)}…`,
    "Untitled",
  ]);
});

test("the answer of a server that died is noted as cut off, once; what it wrote itself counts more", async () => {
  const id = await store.create();
  const question = await store.appendMessage(id, { role: "user", content: "Long?", parent: null });
  const generation = answer(id, question, ["A par", "t"]);
  const cut = { code: "answer-cut", message: "The ask server ended." };
  await store.fail(id, generation, cut);
  await store.fail(id, generation, cut);
  await store.fail(id, "g-unknown", cut);
  expect(readFileSync(store.pathOf(id), "utf8").match(/"end"/g)).toHaveLength(1);
  expect((await store.read(id)).nodes.get(generation)).toMatchObject({
    ...{ text: "A part", ended: { reason: "failed", error: cut } },
  });
});

test("a text is found without regard to case and accents, with what stands around it", async () => {
  const cafe = await asked("Where is the CAFE\u0301?", "At the ", "Straße ", "ΌΣΟΣ 🙂");
  const other = await asked("Nothing of it");
  await store.rename(other, "Named after a Café");
  const find = async (text: string) =>
    (await store.search(text)).map(({ id, matches }) => [id, matches.map((match) => `${match.in}: ${match.excerpt}`)]);
  expect(await find("café")).toEqual([
    [other, ["title: Named after a Café"]],
    [cafe, ["title: Where is the CAFE\u0301?", "question: Where is the CAFE\u0301?"]],
  ]);
  expect(await find("the  STRASSE")).toEqual([]);
  expect(await find("the\nstraße όσος")).toEqual([[cafe, ["answer: At the Straße ΌΣΟΣ 🙂"]]]);
  expect(await find(" ")).toEqual([]);
  const long = await asked(`${"é".repeat(100)} needle ${"👍".repeat(100)}`);
  expect(await find("NEEDLE")).toEqual([[long, [`question: …${"é".repeat(39)} needle ${"👍".repeat(39)}…`]]]);
  expect(await store.search("needle", { signal: AbortSignal.abort() })).toEqual([]);
});

test("any part of what was asked is found, and the excerpt has it", async () => {
  const id = await store.create();
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: "grapheme", minLength: 1 }), fc.nat(), fc.nat(), async (content, from, size) => {
      const characters = [...content];
      const start = from % characters.length;
      const part = characters.slice(start, start + 1 + (size % characters.length)).join("");
      fc.pre(part.trim() !== "" && /[\p{L}\p{N}]/u.test(part));
      await store.appendMessage(id, { role: "user", content, parent: null });
      expect((await store.search(part)).map((hit) => hit.id)).toEqual([id]);
    }),
    { numRuns: 50 },
  );
});

test("one is erased, or all; other files stay", async () => {
  const [one, other] = [await asked("One?"), await asked("Other?")];
  writeFileSync(join(folder, "notes.txt"), "mine");
  await store.remove(one);
  await expect(store.remove(one)).rejects.toEqual(UNKNOWN);
  expect((await store.list()).map(({ id }) => id)).toEqual([other]);
  expect(await store.removeAll()).toBe(1);
  expect(await store.list()).toEqual([]);
  expect(readFileSync(join(folder, "notes.txt"), "utf8")).toBe("mine");
});

test.each(["c-0000", "../../etc/passwd", "c-../x", ""])("there is no conversation %j", async (id) => {
  await expect(store.read(id)).rejects.toEqual(UNKNOWN);
  await expect(store.remove(id)).rejects.toEqual(UNKNOWN);
  await expect(store.rename(id, "x")).rejects.toEqual(UNKNOWN);
  await expect(store.appendMessage(id, { role: "user", content: "x", parent: null })).rejects.toEqual(UNKNOWN);
  await expect(store.list()).resolves.toEqual([]);
});

test("an empty name and a question without measure are refused", async () => {
  const id = await asked("Hi?");
  await expect(store.rename(id, " \n")).rejects.toMatchObject({ code: "usage" });
  const content = "x".repeat(17 * 1024 * 1024);
  await expect(store.appendMessage(id, { role: "user", content, parent: null })).rejects.toMatchObject({
    ...{ code: "prompt-too-long" },
  });
  expect((await store.read(id)).turns).toBe(1);
});
