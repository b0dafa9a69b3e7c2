import fc from "fast-check";
import { AnswerReader, BrokenStream } from "../../../src/lib/ask/answer-reader";
import { TorbizError } from "../../../src/lib/errors";

function event(value: unknown, id?: number): string {
  const data = typeof value === "string" ? value : JSON.stringify(value);
  return `${id === undefined ? "" : `id: ${id}\n`}data: ${data}\n\n`;
}

function answer(words: readonly string[]): string {
  const pieces = words.map((content, index) => event({ choices: [{ delta: { content } }] }, index + 1));
  const end = {
    reason: "stop",
    seq: words.length,
    route: null,
    cachedTokens: 0,
    firstTokenSeconds: 0,
    tokensPerSecond: 0,
  };
  return pieces.join("") + event({ choices: [], usage: {}, torbiz: { end } }) + event("[DONE]");
}

/** Cuts bytes at these places, in any order; the same twice is an empty chunk. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const at = [0, ...places.map((place) => place % (bytes.length + 1)).sort((one, other) => one - other), bytes.length];
  return at.slice(1).map((end, index) => bytes.subarray(at[index], end));
}

/** Feeds until it throws. */
function read(chunks: readonly Uint8Array[]): { texts: string[]; reader: AnswerReader; thrown: unknown } {
  const texts: string[] = [];
  const reader = new AnswerReader(0, (text) => texts.push(text));
  try {
    for (const chunk of chunks) reader.feed(chunk);
    return { texts, reader, thrown: undefined };
  } catch (thrown) {
    return { texts, reader, thrown };
  }
}

const words = fc.array(fc.string({ unit: "binary" }), { maxLength: 20 });
const places = fc.array(fc.nat(), { maxLength: 40 });
const encoder = new TextEncoder();

it("loses and invents nothing, however an answer is cut", () => {
  fc.assert(
    fc.property(words, places, (said, cuts) => {
      const { texts, reader, thrown } = read(cut(encoder.encode(answer(said)), cuts));
      expect(thrown).toBeUndefined();
      expect(texts).toEqual(said.filter((word) => word !== ""));
      expect(reader.finished).toBe(true);
      expect(reader.seq).toBe(said.length);
    }),
  );
});

it("takes bytes that are no answer for what they are", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2_000 }), places, (garbage, cuts) => {
      const { texts, reader, thrown } = read(cut(garbage, cuts));
      expect(texts).toEqual([]);
      expect(reader.finished).toBe(false);
      expect(thrown === undefined || thrown instanceof BrokenStream).toBe(true);
    }),
  );
});

it("takes any JSON for what it is", () => {
  const shaped = fc.record(
    {
      choices: fc.oneof(fc.array(fc.object()), fc.jsonValue()),
      torbiz: fc.oneof(fc.record({ progress: fc.jsonValue(), end: fc.jsonValue() }), fc.jsonValue()),
      error: fc.jsonValue(),
      usage: fc.jsonValue(),
    },
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(fc.oneof(shaped, fc.jsonValue()), fc.option(fc.integer(), { nil: undefined }), (value, id) => {
      const { reader, thrown } = read([encoder.encode(event(JSON.stringify(value), id))]);
      expect(reader.finished).toBe(false);
      expect(thrown === undefined || thrown instanceof BrokenStream || thrown instanceof TorbizError).toBe(true);
    }),
  );
});

it("gives the beginning of an answer, and nothing else, before damage", () => {
  fc.assert(
    fc.property(words, fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 200 }), places, (said, place, junk, cuts) => {
      const bytes = encoder.encode(answer(said));
      const at = place % bytes.length;
      // A line of its own is no part of the text of another.
      const damaged = [bytes.subarray(0, at), encoder.encode("\n\n"), junk, encoder.encode("\n\n"), bytes.subarray(at)];
      const { texts, reader } = read(cut(Buffer.concat(damaged), cuts));
      const spoken = said.filter((word) => word !== "");
      expect(texts).toEqual(spoken.slice(0, texts.length));
      expect(reader.finished && texts.length < spoken.length).toBe(false);
    }),
  );
});

it("goes on after a broken connection exactly where it was", () => {
  fc.assert(
    fc.property(words, fc.nat(), (said, place) => {
      const bytes = encoder.encode(answer(said));
      const texts: string[] = [];
      const reader = new AnswerReader(0, (text) => texts.push(text));
      reader.feed(bytes.subarray(0, place % bytes.length));
      reader.reconnected();
      const rest = answer(said)
        .split(/(?<=\n\n)/)
        .slice(reader.seq);
      reader.feed(encoder.encode(rest.join("")));
      expect(texts).toEqual(said.filter((word) => word !== ""));
      expect(reader.finished).toBe(true);
    }),
  );
});
