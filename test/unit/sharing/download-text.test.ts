import { downloadProgress, downloadText, parseDownload } from "../../../src/lib/sharing/download-text";

const LINE = "2026-01-31T12:00:00.000Z INFO torbiz.status: Stage: downloading";
const download = {
  file: "model-00001-of-00002.safetensors",
  done: 1_200_000_000,
  total: 3_500_000_000,
  files: 2,
  filesDone: 1,
  bytesPerSecond: 12_345_678,
};

test("the seeder's line is read as its status is", () => {
  expect(parseDownload(`${LINE} 1/2 ${download.file} 1200000000/3500000000 at 12345678`)).toEqual(download);
  expect(parseDownload(`${LINE} 1/2 ${download.file} 1200000000/3500000000`)).toEqual({
    ...download,
    bytesPerSecond: null,
  });
  for (const other of [LINE, `${LINE} 1/2`, LINE.replace("downloading", "loading 1/2")]) {
    expect(parseDownload(other)).toBeUndefined();
  }
});

test.each([
  [{}, "34%, 1.2 of 3.5 GB, 12 MB/s"],
  [{ bytesPerSecond: null }, "34%, 1.2 of 3.5 GB"],
  [{ bytesPerSecond: 120_400 }, "34%, 1.2 of 3.5 GB, 120 kB/s"],
  [{ bytesPerSecond: 2_040_000 }, "34%, 1.2 of 3.5 GB, 2.0 MB/s"],
  [{ done: 3_499_999_999, bytesPerSecond: null }, "99%, 3.5 of 3.5 GB"],
  [{ done: 500, total: 2_000, bytesPerSecond: null }, "25%, 0.5 of 2.0 kB"],
  [{ done: 0, total: 0, bytesPerSecond: null }, "100%, 0.0 of 0.0 kB"],
])("%j is told as %s", (change, text) => {
  expect(downloadText({ ...download, ...change })).toBe(`Downloading ${download.file} (${text})`);
});

test("all files together have a progress that never goes back", () => {
  const steps = [
    [0, 0],
    [0, 10],
    [1, 0],
    [1, 10],
  ].map(([filesDone = 0, done = 0]) => downloadProgress({ ...download, filesDone, done, total: 10 }));
  expect(steps).toEqual([0, 0.5, 0.5, 1]);
});
