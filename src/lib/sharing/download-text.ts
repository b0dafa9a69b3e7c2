import { sizeText, unitFor } from "../units";
import type { DownloadStatus } from "./status";

/** "Downloading model-00001-of-00002.safetensors (34%, 1.2 of 3.5 GB, 12 MB/s)" */
export function downloadText({ file, done, total, bytesPerSecond }: DownloadStatus): string {
  const [size, name] = unitFor(total);
  const parts = [
    percentText({ done, total }),
    `${(done / size).toFixed(1)} of ${(total / size).toFixed(1)} ${name}`,
    ...(bytesPerSecond === null ? [] : [`${sizeText(bytesPerSecond)}/s`]),
  ];
  return `Downloading ${file} (${parts.join(", ")})`;
}

/** How far the file is: "34%". Never 100% before all has come. */
export function percentText({ done, total }: Pick<DownloadStatus, "done" | "total">): string {
  return `${total === 0 ? 100 : Math.floor((done / total) * 100)}%`;
}

/** How far all files are, 0 to 1, as if they were equally large: shards nearly are. */
export function downloadProgress({ done, total, files, filesDone }: DownloadStatus): number {
  return (filesDone + (total === 0 ? 1 : done / total)) / files;
}

/**
 * The seeder's line of a download: `Download.describe` in python/torbiz/status.py. Undefined for any other.
 *
 * @example
 * parseDownload("... Stage: downloading 0/2 model-00001-of-00002.safetensors 1200000/3500000 at 250000")?.done; // 1200000
 */
export function parseDownload(line: string): DownloadStatus | undefined {
  const found = /Stage: downloading (\d+)\/(\d+) (\S+) (\d+)\/(\d+)(?: at (\d+))?$/.exec(line);
  if (!found) return undefined;
  const [, filesDone, files, file = "", done, total, speed] = found;
  return {
    ...{ file, done: Number(done), total: Number(total) },
    ...{ files: Number(files), filesDone: Number(filesDone) },
    bytesPerSecond: speed === undefined ? null : Number(speed),
  };
}
