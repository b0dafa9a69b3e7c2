import { readFileSync } from "node:fs";
import { join } from "node:path";

/** What a real engine said (record.ts makes these), as it came over its socket. */
export interface RecordedEngine {
  name: string;
  info: { Driver: string; DriverStatus: unknown };
  /** To what it refuses. */
  answers: { when: string; status: number; body: string }[];
  containerdStore: boolean;
}

export const ENGINES: readonly RecordedEngine[] = ["20.10.24", "26.1.5", "26.1.5-containerd"].map((name) => {
  const text = readFileSync(join(import.meta.dirname, "fixtures", `engine-${name}.json`), "utf8");
  return { ...(JSON.parse(text) as RecordedEngine), name, containerdStore: name.endsWith("-containerd") };
});
