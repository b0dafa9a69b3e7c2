import { sizeText } from "../../src/lib/units";

test.each([
  [0, "0 kB"],
  [400_000, "400 kB"],
  [949_999, "950 kB"],
  [950_000, "0.9 MB"],
  [5_280_000, "5.3 MB"],
  [12_345_678, "12 MB"],
  [999_000_000, "1.0 GB"],
  [15_300_000_000, "15 GB"],
])("%d bytes are told as %s", (bytes, text) => {
  expect(sizeText(bytes)).toBe(text);
});
