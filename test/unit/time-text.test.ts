import { agoText, clockText, durationText } from "../../src/components/time-text";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

test.each([
  [-5_000, "0 s"],
  [59_999, "59 s"],
  [MINUTE, "1 min"],
  [HOUR - 1, "59 min"],
  [HOUR, "1 h"],
  [2 * HOUR + 5 * MINUTE + 30_000, "2 h 5 min"],
  [24 * HOUR, "1 d"],
  [76 * HOUR, "3 d 4 h"],
])("%d ms are %s", (ms, text) => {
  expect(durationText(ms)).toBe(text);
});

test.each([
  [-60_000, "just now"],
  [9_000, "just now"],
  [40_000, "40 s ago"],
  [3 * MINUTE, "3 min ago"],
])("%d ms before now is %s", (ms, text) => {
  const now = Date.parse("2026-01-31T12:00:00Z");
  expect(agoText(new Date(now - ms).toISOString(), now)).toBe(text);
});

test("a moment after midnight is in the hour 00", () => {
  const moment = new Date();
  moment.setHours(0, 10, 6);
  expect(clockText(moment.toISOString())).toBe("00:10:06");
});
