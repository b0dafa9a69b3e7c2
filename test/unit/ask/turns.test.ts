import { leafOf, shownVersion, turnsOf, type Turn } from "../../../src/components/ask/turns";
import type { Conversation } from "../../../src/lib/ask/conversations/conversation";
import { ConversationReader } from "../../../src/lib/ask/conversations/conversation-reader";

const AT = "2026-01-31T12:00:00.000Z";
const engine = { kind: "this", model: "m", title: "M", where: "This Computer" };
const usage = { promptTokens: 3, completionTokens: 2, cachedTokens: 0 };

const head = { type: "conversation", version: 1, id: "c-1", at: AT };
const message = (id: string, parent: string | null, role = "user") => ({
  ...{ type: "message", id, parent, role, content: `Q ${id}`, at: AT },
});
/** An answer that has ended; one of no words where `text` is empty. */
const answer = (id: string, parent: string, { text = `A ${id}`, continues = null as string | null } = {}) => [
  { type: "generation", id, parent, continues, engine, at: AT },
  ...(text ? [{ type: "delta", of: id, seq: 1, text }] : []),
  { type: "end", of: id, reason: "stop", error: null, usage, firstTokenSeconds: 0, tokensPerSecond: 0, route: null },
];

function read(...lines: object[]): Conversation {
  const reader = new ConversationReader(true);
  reader.feed(Buffer.from([head, ...lines].map((line) => `${JSON.stringify(line)}\n`).join("")));
  return reader.finish("c-1", AT);
}

/** A turn as a person sees it: what is shown, and which of how many it is. */
function look(turn: Turn): string {
  const shown = turn.answer ? `${turn.question} = ${turn.answer.text}` : turn.question;
  return `${turn.id}: ${shown} (${shownVersion(turn) + 1} of ${turn.versions.length})`;
}

function shows(conversation: Conversation, leaf?: string): string[] {
  return turnsOf(conversation, leaf).map(look);
}

/** What is shown after a person went to that version of a turn. */
function chosen(conversation: Conversation, turn: number, version: number, leaf?: string): string[] {
  const wanted = turnsOf(conversation, leaf)[turn]?.versions[version];
  if (!wanted) throw new Error(`Turn ${turn} has no version ${version}.`);
  return shows(conversation, leafOf(conversation, wanted));
}

test("a conversation without branches has one version of everything", () => {
  const conversation = read(message("m-1", null), ...answer("g-1", "m-1"), message("m-2", "g-1"));
  expect(shows(conversation)).toEqual(["turn-0: Q m-1 = A g-1 (1 of 1)", "turn-1: Q m-2 (1 of 1)"]);
  expect(shows(read())).toEqual([]);
});

test("an answer given anew hides none, and what came after each of them comes with it", () => {
  const conversation = read(
    ...[message("m-1", null), ...answer("g-1", "m-1"), message("m-2", "g-1"), ...answer("g-2", "m-2")],
    ...[...answer("g-3", "m-1"), ...answer("g-4", "m-1"), message("m-3", "g-4"), ...answer("g-5", "m-3")],
  );
  expect(shows(conversation)).toEqual(["turn-0: Q m-1 = A g-4 (3 of 3)", "turn-1: Q m-3 = A g-5 (1 of 1)"]);
  expect(chosen(conversation, 0, 1)).toEqual(["turn-0: Q m-1 = A g-3 (2 of 3)"]);
  expect(chosen(conversation, 0, 0)).toEqual(["turn-0: Q m-1 = A g-1 (1 of 3)", "turn-1: Q m-2 = A g-2 (1 of 1)"]);
});

test("an edited question is another version of its place, with or without instructions before it", () => {
  for (const first of [null, "m-0"]) {
    const conversation = read(
      ...(first ? [message("m-0", null, "system")] : []),
      ...[message("m-1", first), ...answer("g-1", "m-1"), ...answer("g-2", "m-1")],
      ...[message("m-2", first), ...answer("g-3", "m-2")],
    );
    expect(shows(conversation)).toEqual(["turn-0: Q m-2 = A g-3 (3 of 3)"]);
    expect(chosen(conversation, 0, 0)).toEqual(["turn-0: Q m-1 = A g-1 (1 of 3)"]);
    expect(chosen(conversation, 0, 1)).toEqual(["turn-0: Q m-1 = A g-2 (2 of 3)"]);
  }
  // Instructions came into the settings between the two.
  const changed = read(message("m-1", null), message("m-0", null, "system"), message("m-2", "m-0"));
  expect(shows(changed)).toEqual(["turn-0: Q m-2 (2 of 2)"]);
});

test("a version goes on where it was gone on from last", () => {
  const conversation = read(
    ...[message("m-1", null), ...answer("g-1", "m-1"), message("m-2", "g-1"), ...answer("g-2", "m-2")],
    ...[...answer("g-3", "m-2"), ...answer("g-4", "m-1")],
  );
  expect(chosen(conversation, 0, 0)).toEqual(["turn-0: Q m-1 = A g-1 (1 of 2)", "turn-1: Q m-2 = A g-3 (2 of 2)"]);
  const leaf = leafOf(conversation, turnsOf(conversation)[0]!.versions[0]!);
  expect(chosen(conversation, 1, 0, leaf)).toEqual([
    "turn-0: Q m-1 = A g-1 (1 of 2)",
    "turn-1: Q m-2 = A g-2 (1 of 2)",
  ]);
});

test("an answer and its continuation are one version; one of no words is none unless it is looked at", () => {
  const conversation = read(
    ...[message("m-1", null), ...answer("g-1", "m-1"), ...answer("g-2", "m-1", { text: "" })],
    ...answer("g-3", "m-1", { text: " and more", continues: "g-1" }),
  );
  expect(shows(conversation)).toEqual(["turn-0: Q m-1 = A g-1 and more (1 of 1)"]);
  expect(shows(conversation, "g-2")).toEqual(["turn-0: Q m-1 =  (1 of 2)"]);
  // What was cut off had been gone on from by a question: that branch is not lost.
  const asked = read(
    ...[message("m-1", null), ...answer("g-1", "m-1"), message("m-2", "g-1"), ...answer("g-2", "m-2")],
    ...answer("g-3", "m-1", { text: " and more", continues: "g-1" }),
  );
  expect(shows(asked)).toEqual(["turn-0: Q m-1 = A g-1 and more (2 of 2)"]);
  expect(chosen(asked, 0, 0)).toEqual(["turn-0: Q m-1 = A g-1 (1 of 2)", "turn-1: Q m-2 = A g-2 (1 of 1)"]);
});

test("a question that was gone on from without an answer stays reachable beside its answer", () => {
  const conversation = read(
    ...[message("m-1", null), message("m-2", "m-1"), ...answer("g-1", "m-2"), ...answer("g-2", "m-1")],
  );
  expect(shows(conversation)).toEqual(["turn-0: Q m-1 = A g-2 (2 of 2)"]);
  expect(chosen(conversation, 0, 0)).toEqual(["turn-0: Q m-1 (1 of 2)", "turn-1: Q m-2 = A g-1 (1 of 1)"]);
});
