import fc from "fast-check";
import type { AnswerNode, Conversation } from "../../../../src/lib/ask/conversations/conversation";
import { ConversationReader } from "../../../../src/lib/ask/conversations/conversation-reader";
import { MAX_LINE_BYTES } from "../../../../src/lib/ask/conversations/line-splitter";

const AT = "2026-01-31T12:00:00.000Z";
const engine = { kind: "this", model: "m", title: "M", where: "This Computer" };
const usage = { promptTokens: 3, completionTokens: 2, cachedTokens: 1 };

const head = { type: "conversation", version: 1, id: "c-1", at: AT };
const question = (id: string, parent: string | null, content = `Q ${id}`) => ({
  ...{ type: "message", id, parent, role: "user", content, at: AT },
});
const generation = (id: string, parent: string, continues: string | null = null) => ({
  ...{ type: "generation", id, parent, continues, engine, at: AT },
});
const delta = (of: string, seq: number, text: string) => ({ type: "delta", of, seq, text });
const end = (of: string, reason = "stop", error: object | null = null) => ({
  ...{ type: "end", of, reason, error, usage, firstTokenSeconds: 0.1, tokensPerSecond: 9, route: null, at: AT },
});

function readChunks(chunks: readonly Buffer[], withTexts = true): Conversation {
  const reader = new ConversationReader(withTexts);
  for (const chunk of chunks) reader.feed(chunk);
  return reader.finish("c-1", AT);
}

function read(...lines: (object | string)[]): Conversation {
  const text = lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line))).join("\n");
  return readChunks([Buffer.from(`${text}\n`)]);
}

function answer(conversation: Conversation, id: string): AnswerNode {
  const node = conversation.nodes.get(id);
  if (node?.kind !== "answer") throw new Error(`${id} is no answer`);
  return node;
}

test("a conversation as it is written", () => {
  const conversation = read(
    ...[head, { type: "message", id: "m-0", parent: null, role: "system", content: "Be brief.", at: AT }],
    ...[question("m-1", "m-0", "Which city?"), generation("g-1", "m-1"), delta("g-1", 1, "Par"), delta("g-1", 2, "is")],
    ...[end("g-1"), { type: "title", title: "Cities", at: AT }, question("m-2", "g-1"), generation("g-2", "m-2")],
  );
  expect(conversation).toMatchObject({ id: "c-1", title: "Cities", createdAt: AT, turns: 2, damagedLines: 0 });
  expect(answer(conversation, "g-1")).toMatchObject({
    ...{ parent: "m-1", text: "Paris", own: "Paris", seq: 2, children: ["m-2"], ended: { reason: "stop", usage } },
  });
  expect(answer(conversation, "g-2")).toMatchObject({ text: "", seq: 0 });
  expect(answer(conversation, "g-2").ended).toBeUndefined();
  expect(conversation.branch().map(({ id }) => id)).toEqual(["m-0", "m-1", "g-1", "m-2", "g-2"]);
  expect(conversation.messages("m-2")).toEqual([
    { role: "system", content: "Be brief." },
    { role: "user", content: "Which city?" },
    { role: "assistant", content: "Paris" },
    { role: "user", content: "Q m-2" },
  ]);
});

test("another answer, another question in its place, and an answer that is continued are branches", () => {
  const conversation = read(
    ...[head, question("m-1", null), generation("g-1", "m-1"), delta("g-1", 1, "one"), end("g-1", "stopped")],
    ...[generation("g-2", "m-1"), delta("g-2", 1, "two"), end("g-2", "length")],
    ...[generation("g-3", "m-1", "g-2"), delta("g-3", 1, " and more"), end("g-3")],
    ...[question("m-2", null, "Asked anew"), generation("g-4", "m-2"), delta("g-4", 1, "four")],
  );
  expect(answer(conversation, "g-3")).toMatchObject({ text: "two and more", own: " and more", continues: "g-2" });
  expect(conversation.branch().map(({ id }) => id)).toEqual(["m-2", "g-4"]);
  expect(conversation.branch("g-3").map(({ id }) => id)).toEqual(["m-1", "g-3"]);
  expect(conversation.nodes.get("m-1")?.children).toEqual(["g-1", "g-2", "g-3"]);
  expect(conversation.messages("g-3").at(-1)).toEqual({ role: "assistant", content: "two and more" });
  expect(() => conversation.branch("g-9")).toThrow(expect.objectContaining({ code: "generation-unknown" }));
});

test("questions without an answer are one with the next: templates insist on turns", () => {
  const conversation = read(
    ...[head, question("m-1", null, "First?"), generation("g-1", "m-1"), end("g-1", "failed")],
    question("m-2", "g-1", "Second?"),
  );
  expect(conversation.messages("m-2")).toEqual([{ role: "user", content: "First?\n\nSecond?" }]);
});

test("what comes twice or out of order, and what belongs to nobody", () => {
  const conversation = read(
    ...[head, question("m-1", null, "Kept"), question("m-1", null, "Ignored"), delta("g-1", 3, "c")],
    ...[generation("g-1", "m-1"), delta("g-1", 1, "a"), delta("g-1", 3, "X"), delta("g-1", 2, "b")],
    ...[delta("g-nobody", 1, "nothing"), end("g-nobody"), { type: "from-the-future", id: "x" }],
    ...[end("g-1", "failed", { code: "answer-cut", message: "Its server died." }), end("g-1"), end("g-1", "length")],
  );
  expect(conversation).toMatchObject({ damagedLines: 0, title: "Kept" });
  expect([...conversation.nodes.keys()]).toEqual(["m-1", "g-1"]);
  expect(answer(conversation, "g-1")).toMatchObject({ text: "abc", seq: 3, ended: { reason: "stop" } });
});

test("a damaged question costs only itself: what followed it follows what was before", () => {
  const conversation = read(
    ...[head, question("m-1", null), generation("g-1", "m-1"), delta("g-1", 1, "one")],
    ...[JSON.stringify(question("m-2", "g-1")).slice(0, -9), generation("g-2", "m-2"), delta("g-2", 1, "two")],
  );
  expect(conversation.branch().map(({ id }) => id)).toEqual(["m-1", "g-1", "g-2"]);
  expect(conversation.damagedLines).toBe(1);
});

test("parents that would go round in a circle don't", () => {
  const conversation = read(question("m-1", "m-2"), question("m-2", "m-1"), generation("g-1", "m-2", "g-1"));
  expect(conversation.branch().map(({ id }) => id)).toEqual(["m-1", "m-2", "g-1"]);
});

test("a line without an end is damaged at its limit, not kept in memory", () => {
  const piece = Buffer.alloc(1024 * 1024, "x");
  const reader = new ConversationReader(true);
  reader.feed(Buffer.from(`${JSON.stringify(question("m-1", null))}\n`));
  const before = process.memoryUsage().arrayBuffers;
  for (let bytes = 0; bytes < 4 * MAX_LINE_BYTES; bytes += piece.length) reader.feed(Buffer.from(piece));
  reader.feed(Buffer.from(`\n${JSON.stringify(question("m-2", "m-1"))}\n`));
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 * MAX_LINE_BYTES);
  expect(reader.finish("c-1", AT)).toMatchObject({ turns: 2, damagedLines: 1 });
});

test("20,000 pieces, backwards", () => {
  const deltas = Array.from({ length: 20_000 }, (_, index) => delta("g-1", 20_000 - index, `${20_000 - index} `));
  const { text, seq } = answer(read(head, question("m-1", null), generation("g-1", "m-1"), ...deltas), "g-1");
  expect(seq).toBe(20_000);
  expect(text).toBe(Array.from({ length: 20_000 }, (_, index) => `${index + 1} `).join(""));
});

/** Anything that a string can hold, halves of characters included. */
const anyText = fc.string({ unit: fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("\ud83d", "\ude00", "\n")) });
/** Bytes between two lines that are no record: garbage, torn records, other people's JSON. */
const anyGarbage = fc
  .oneof(
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc.json().map((json) => Buffer.from(json)),
    fc
      .tuple(anyText, fc.integer({ min: 1, max: 60 }))
      .map(([text, cut]) => Buffer.from(JSON.stringify(delta("g-1", 1, text))).subarray(0, -cut)),
  )
  .filter((bytes) => !bytes.includes(0x0a) && !bytes.includes('"type"'));

/** The same bytes in pieces that are cut anywhere. */
function cut(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...cuts.map((place) => place % (bytes.length + 1)), bytes.length].sort((a, b) => a - b);
  return places.slice(1).map((place, index) => bytes.subarray(places[index], place));
}

test("nothing is lost or invented, wherever the bytes are cut and whatever lies between the lines", () => {
  fc.assert(
    fc.property(
      fc.array(anyText, { maxLength: 12 }),
      fc.array(anyGarbage, { maxLength: 16 }),
      fc.array(fc.nat(), { maxLength: 30 }),
      anyText,
      (texts, garbage, cuts, content) => {
        const records = [head, question("m-1", null, content), generation("g-1", "m-1")];
        const lines = [...records, ...texts.map((text, index) => delta("g-1", index + 1, text)), end("g-1")];
        const bytes = Buffer.concat(
          lines.flatMap((line, index) => [
            ...(garbage[index] ? [garbage[index], Buffer.from("\n")] : []),
            Buffer.from(`${JSON.stringify(line)}\n`),
          ]),
        );
        const conversation = readChunks(cut(bytes, cuts));
        expect([...conversation.nodes.keys()]).toEqual(["m-1", "g-1"]);
        expect(conversation.nodes.get("m-1")).toMatchObject({ content });
        expect(answer(conversation, "g-1")).toMatchObject({
          ...{ text: texts.join(""), seq: texts.length, ended: { reason: "stop" } },
        });
        expect(readChunks([bytes])).toEqual(conversation);
        // Without the answers' texts all else is the same.
        const { title, turns, changedAt } = readChunks(cut(bytes, cuts), false);
        expect({ title, turns, changedAt }).toEqual({
          ...{ title: conversation.title, turns: conversation.turns, changedAt: conversation.changedAt },
        });
      },
    ),
  );
});

test("a file that is cut anywhere has what was whole before the cut, and goes on after it", () => {
  const texts = ["é", "漢字", "👩‍👩‍👧", "e\u0301", "\ud83d"];
  const records = [head, question("m-1", null), generation("g-1", "m-1")];
  const lines = [...records, ...texts.map((text, index) => delta("g-1", index + 1, text))];
  const whole = Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  fc.assert(
    fc.property(fc.integer({ min: 0, max: whole.length }), (length) => {
      const torn = whole.subarray(0, length);
      const kept = torn
        .toString()
        .split("\n")
        .filter((line) => lines.some((record) => JSON.stringify(record) === line));
      const conversation = readChunks([torn, Buffer.from(`\n${JSON.stringify(question("m-2", null))}\n`)]);
      const own = conversation.nodes.get("g-1");
      expect(conversation.nodes.has("m-2")).toBe(true);
      expect(own?.kind === "answer" ? own.text : "").toBe(texts.slice(0, Math.max(0, kept.length - 3)).join(""));
    }),
  );
});

test("no bytes are too strange", () => {
  const keys = fc.constantFrom(
    "type",
    "id",
    "of",
    "parent",
    "seq",
    "text",
    "content",
    "role",
    "at",
    "continues",
    "engine",
  );
  const values = fc.oneof(
    fc.constantFrom("message", "generation", "delta", "end", "title", "conversation", "user", "m-1", "g-1", AT, engine),
    fc.jsonValue(),
  );
  const line = fc.oneof(
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    fc.dictionary(keys, values).map((fields) => Buffer.from(JSON.stringify(fields))),
  );
  fc.assert(
    fc.property(fc.array(line), (all) => {
      const conversation = readChunks(all.flatMap((bytes) => [bytes, Buffer.from("\n")]));
      const branch = conversation.branch();
      expect(branch.length).toBeLessThanOrEqual(conversation.nodes.size);
      for (const { id } of branch) conversation.messages(id);
    }),
    { numRuns: 500 },
  );
});
