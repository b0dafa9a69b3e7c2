import { parseSince } from "../../src/lib/since";

const NOW = new Date("2026-01-31T12:00:00Z");

test.each([
  ["90s", "2026-01-31T11:58:30.000Z"],
  ["10m", "2026-01-31T11:50:00.000Z"],
  ["2h", "2026-01-31T10:00:00.000Z"],
  ["3 d", "2026-01-28T12:00:00.000Z"],
  ["2026-01-30", new Date(2026, 0, 30).toISOString()],
  ["2026-01-31T11:30:00Z", "2026-01-31T11:30:00.000Z"],
])("%s is %s", (text, time) => {
  expect(parseSince(text, NOW)).toBe(time);
});

test.each(["", "yesterday", "10", "10x", "-5m", "1.5h", "99999999d", "2026-13-01"])("%j is no time", (text) => {
  expect(() => parseSince(text, NOW)).toThrow(expect.objectContaining({ code: "usage" }));
});
