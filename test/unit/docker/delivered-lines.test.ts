import { DeliveredLines } from "../../../src/lib/docker/delivered-lines";
import type { LogLine } from "../../../src/lib/docker/demux";

const at = (second: number, stream: LogLine["stream"] = "stdout", text = ""): LogLine => ({
  time: `2026-11-23T17:00:${String(second).padStart(2, "0")}.000000000Z`,
  stream,
  text,
});

function rest(log: readonly LogLine[], delivered: readonly LogLine[]): LogLine[] {
  const lines = new DeliveredLines();
  for (const line of delivered) lines.note(line);
  lines.readAgain();
  const { since } = lines;
  return log.filter(({ time }) => since === undefined || time >= since).filter((line) => lines.isNew(line));
}

describe("DeliveredLines", () => {
  it("goes on wherever the first reading ended", () => {
    const log = [at(1), at(2, "stderr"), at(3), at(3, "stdout", "same time"), at(4, "stderr"), at(5)];
    for (let count = 0; count <= log.length; count += 1) {
      expect(rest(log, log.slice(0, count))).toEqual(log.slice(count));
    }
  });

  it("goes on again and again, whatever each reading added", () => {
    const log = [
      at(1),
      at(1, "stderr"),
      at(2),
      at(2, "stdout", "same time"),
      at(2, "stdout", "and again"),
      at(3, "stderr"),
      at(3, "stderr"),
      at(3),
    ];
    for (let first = 1; first <= log.length; first += 1) {
      for (let second = first; second <= log.length; second += 1) {
        const lines = new DeliveredLines();
        const seen = log.slice(0, first);
        for (const line of seen) lines.note(line);
        for (const end of [second, log.length]) {
          lines.readAgain();
          const { since } = lines;
          for (const line of log.slice(0, end).filter(({ time }) => since === undefined || time >= since)) {
            if (!lines.isNew(line)) continue;
            lines.note(line);
            seen.push(line);
          }
        }
        expect(seen).toEqual(log);
      }
    }
  });

  it("finds a line that was stored late, behind the other stream's", () => {
    const log = [at(1), at(1, "stderr"), at(4), at(3, "stderr")];
    expect(rest(log, log.slice(0, 3))).toEqual([at(3, "stderr")]);
  });

  it("doesn't reach back before a tail", () => {
    const log = [at(1, "stderr", "before the tail"), at(2), at(3)];
    expect(rest(log, [at(2)])).toEqual([at(3)]);
  });
});
