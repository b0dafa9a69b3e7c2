import fc from "fast-check";
import { demultiplex, type LogLine } from "../../../src/lib/docker/demux";
import { TorbizError } from "../../../src/lib/errors";

const TIME = "2026-11-23T17:22:38.862634443Z";

function frame(kind: number, payload: string | Buffer): Buffer {
  const bytes = Buffer.from(payload);
  const header = Buffer.from([kind, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([header, bytes]);
}

async function lines(chunks: readonly Buffer[]): Promise<LogLine[]> {
  const found: LogLine[] = [];
  for await (const line of demultiplex(chunks)) found.push(line);
  return found;
}

function cut(bytes: Buffer, size: number): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
  return chunks;
}

describe("demultiplex", () => {
  const log = Buffer.concat([
    frame(1, `${TIME} out é😀\n`),
    frame(2, `${TIME} err\r\n`),
    frame(1, ""),
    frame(1, `${TIME} \n`),
    frame(1, `${TIME} no end`),
  ]);
  const expected: LogLine[] = [
    { time: TIME, stream: "stdout", text: "out é😀" },
    { time: TIME, stream: "stderr", text: "err" },
    { time: TIME, stream: "stdout", text: "" },
    { time: TIME, stream: "stdout", text: "no end", unfinished: true },
  ];

  it.each([1, 2, 3, 7, 8, 9, 13, 64, 1_000])("gives the same lines from chunks of %d bytes", async (size) => {
    expect(await lines(cut(log, size))).toEqual(expected);
  });

  it("gives the same lines however random the cuts are", async () => {
    let seed = 42;
    const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
    for (let round = 0; round < 300; round += 1) {
      const chunks: Buffer[] = [];
      for (let at = 0; at < log.length;) {
        const size = 1 + Math.floor(random() * 40);
        chunks.push(log.subarray(at, at + size));
        at += size;
      }
      expect(await lines(chunks)).toEqual(expected);
    }
  });

  it("joins a line that the engine stored in 16 KiB messages, also where it cut a character", async () => {
    const text = "x".repeat(16_383) + "é" + "y".repeat(20);
    const bytes = Buffer.from(`${text}\n`);
    const first = Buffer.concat([Buffer.from(`${TIME} `), bytes.subarray(0, 16_384)]);
    const later = "2026-11-23T17:22:39.000000001Z";
    const second = Buffer.concat([Buffer.from(`${later} `), bytes.subarray(16_384)]);
    const interleaved = [frame(1, first), frame(2, `${TIME} between\n`), frame(1, second)];
    expect(await lines(interleaved)).toEqual([
      { time: TIME, stream: "stderr", text: "between" },
      { time: TIME, stream: "stdout", text },
    ]);
  });

  it("keeps a time that the program itself wrote", async () => {
    expect(await lines([frame(1, `${TIME} ${TIME} mine\n`)])).toEqual([
      { time: TIME, stream: "stdout", text: `${TIME} mine` },
    ]);
  });

  it("takes lines without a time", async () => {
    expect(await lines([frame(1, "a\nb\n")])).toEqual([
      { time: "", stream: "stdout", text: "a" },
      { time: "", stream: "stdout", text: "b" },
    ]);
  });

  it("takes any number of frames in one chunk", async () => {
    const count = 100_000;
    const found = await lines([Buffer.concat(Array.from({ length: count }, () => frame(1, "\n")))]);
    expect(found).toHaveLength(count);
  });

  it("breaks an endless line into pieces, the same ones from any chunks, and loses none of it", async () => {
    const text = `x${"é😀".repeat(900_000)}`;
    const log = frame(1, `${TIME} ${text}\n`);
    const found = await lines(cut(log, 65_536));
    expect(found.length).toBeGreaterThan(2);
    expect(found.map((line) => line.text).join("") === text).toBe(true);
    expect(found.every(({ time, text: piece }) => time === TIME && Buffer.from(piece).toString() === piece)).toBe(true);
    const again = await lines(cut(log, 50_001));
    expect(again.map((line) => line.text.length)).toEqual(found.map((line) => line.text.length));
  });

  it("reports the engine's error in the stream", async () => {
    await expect(lines([frame(1, "a\n"), frame(3, "disk on fire\n")])).rejects.toMatchObject({
      code: "docker-request-failed",
      message: "Docker broke off the log: disk on fire",
    });
  });

  it("refuses what is no frame", async () => {
    await expect(lines([Buffer.from("plain text from a TTY\n")])).rejects.toMatchObject({
      code: "docker-unexpected-answer",
    });
  });
});

describe("any bytes", () => {
  const printable = fc.string({ unit: "grapheme", maxLength: 200 }).map((text) => text.replace(/[\r\n]/g, ""));
  const message = fc.record({ kind: fc.constantFrom(1, 2), text: printable });
  const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 });

  /** Cut into pieces of these sizes, again and again. */
  function cutAnyhow(bytes: Buffer, lengths: readonly number[]): Buffer[] {
    const chunks: Buffer[] = [];
    for (let at = 0, next = 0; at < bytes.length; next += 1) {
      const size = lengths[next % lengths.length] ?? 1;
      chunks.push(bytes.subarray(at, at + size));
      at += size;
    }
    return chunks;
  }

  it("gives every line whole and once, however the answer is cut", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(message), sizes, async (messages, lengths) => {
        const log = Buffer.concat(messages.map(({ kind, text }) => frame(kind, `${TIME} ${text}\n`)));
        const expected = messages.map(({ kind, text }) => ({
          time: TIME,
          stream: kind === 1 ? "stdout" : "stderr",
          text,
        }));
        expect(await lines(cutAnyhow(log, lengths))).toEqual(expected);
      }),
    );
  });

  it("gives lines or an error of the catalogue, whatever comes", async () => {
    const noise = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.tuple(fc.integer({ min: 0, max: 4 }), fc.uint8Array({ maxLength: 100 })).map(([kind, payload]) => {
        return new Uint8Array(frame(kind, Buffer.from(payload)));
      }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(noise), sizes, async (parts, lengths) => {
        const found = await lines(cutAnyhow(Buffer.concat(parts), lengths)).catch((error: unknown) => error);
        if (!Array.isArray(found)) expect(found).toBeInstanceOf(TorbizError);
      }),
    );
  });
});
