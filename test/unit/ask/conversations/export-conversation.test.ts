import fc from "fast-check";
import { lexer } from "marked";
import { toJson, toMarkdown } from "../../../../src/lib/ask/conversations/export-conversation";
import { ConversationReader } from "../../../../src/lib/ask/conversations/conversation-reader";

const AT = "2026-01-31T12:00:00.000Z";
const engine = { kind: "swarm", model: "m", title: "M 1", where: "Swarm" };
const usage = { promptTokens: 3, completionTokens: 2, cachedTokens: 1 };
const route = [{ peer: "12D3", blocks: [0, 29] }];

function conversation(question: string, text: string, reason = "stop") {
  const reader = new ConversationReader(true);
  for (const line of [
    { type: "conversation", version: 1, id: "c-1", at: AT },
    { type: "title", title: "Named", at: AT },
    { type: "message", id: "m-0", parent: null, role: "system", content: "Be brief.", at: AT },
    { type: "message", id: "m-1", parent: "m-0", role: "user", content: question, at: AT },
    { type: "generation", id: "g-1", parent: "m-1", continues: null, engine, at: AT },
    { type: "delta", of: "g-1", seq: 1, text },
    { type: "end", of: "g-1", reason, error: null, usage, firstTokenSeconds: 0.25, tokensPerSecond: 8, route, at: AT },
  ]) {
    reader.feed(Buffer.from(`${JSON.stringify(line)}\n`));
  }
  return reader.finish("c-1", AT);
}

test("Markdown reads as it was said, with where it was computed", () => {
  expect(toMarkdown(conversation("Which?", "```js\nlet a;\n```"))).toBe(
    [
      ...["# Named", "## Instructions", "Be brief.", "## Question", "Which?", "## Answer"],
      ...["```js\nlet a;\n```", "_M 1 · Swarm · 1 peer, blocks 0–29 · 2 tokens · first after 0.25 s · 8.0 tokens/s_\n"],
    ].join("\n\n"),
  );
});

test("JSON is OpenAI's messages, with where they were computed", () => {
  expect(JSON.parse(toJson(conversation("Which?", "That \ud83d", "stopped")))).toEqual({
    ...{ id: "c-1", title: "Named", createdAt: AT, changedAt: AT },
    messages: [
      { role: "system", content: "Be brief.", at: AT },
      { role: "user", content: "Which?", at: AT },
      {
        ...{ role: "assistant", content: "That \ud83d", at: AT, engine, reason: "stopped", usage, route },
        ...{ firstTokenSeconds: 0.25, tokensPerSecond: 8 },
      },
    ],
  });
});

test("a question that reached no engine says why, one with an answer doesn't", () => {
  const reader = new ConversationReader(true);
  const ask = (id: string, parent: string | null) => ({
    type: "message",
    id,
    parent,
    role: "user",
    content: id,
    at: AT,
  });
  const note = (of: unknown, error: unknown) => ({ type: "unasked", of, error, at: AT });
  for (const line of [
    ...[ask("m-1", null), note("m-1", { code: "disk-full", message: "No room." })],
    ...[{ type: "generation", id: "g-1", parent: "m-1", continues: null, engine, at: AT }, ask("m-2", "g-1")],
    ...[note("m-2", { code: "old", message: "Old." }), note("m-2", { code: "disk-full", message: "No room." })],
    ...[note("m-2", { code: 1 }), note("m-2", null), note(2, { code: "x", message: "x" }), ask("m-3", "m-2")],
  ]) {
    reader.feed(Buffer.from(`${JSON.stringify(line)}\n`));
  }
  const read = reader.finish("c-1", AT);
  expect(read.damagedLines).toBe(3);
  expect(toMarkdown(read)).toMatch(/m-1\n\n## Answer/);
  expect(toMarkdown(read)).toMatch(
    /m-2\n\n_Not asked\. No room\._\n\n## Question\n\nm-3\n\n_Not asked\. The window closed .*\._\n$/,
  );
  expect(JSON.parse(toJson(read))).toMatchObject({
    messages: [
      expect.not.objectContaining({ notAsked: expect.anything() as unknown }),
      { role: "assistant" },
      { content: "m-2", notAsked: { code: "disk-full", message: "No room." } },
      { content: "m-3", notAsked: { code: "not-asked" } },
    ],
  });
});

test("a block of code stays whole, and one that was cut off ends with its answer", () => {
  const line = fc.constantFrom(
    "```",
    "````",
    "~~~",
    "~~~~ ",
    "```js",
    "``` a`b",
    "   ```",
    "    ```",
    "let a;",
    "",
    "`x`",
  );
  const text = fc.array(line, { minLength: 1, maxLength: 8 }).map((lines) => lines.join("\n"));
  fc.assert(
    fc.property(text, text, (question, answer) => {
      const tokens = lexer(toMarkdown(conversation(question, answer)));
      const headings = tokens.flatMap((token) => (token.type === "heading" ? [token.text as string] : []));
      expect(headings).toEqual(["Named", "Instructions", "Question", "Answer"]);
      expect(tokens.at(-1)?.raw).toContain("8.0 tokens/s");
    }),
    { numRuns: 300 },
  );
});
