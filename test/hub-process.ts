import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { resolve } from "node:path";

/** What goes wrong: `Fault` in python/tests/hub.py. */
export interface Fault {
  file?: string;
  place?: "api" | "hub" | "store";
  status?: number;
  code?: string;
  silent_after?: number;
  cut_after?: number;
  bytes_per_second?: number;
  wrong?: boolean;
  whole?: boolean;
  times?: number;
}

/** What was asked for: `Request` in python/tests/hub.py. */
export interface HubRequest {
  method: string;
  path: string;
  place: "api" | "hub" | "store";
  file: string;
  range: string | null;
  token: string | null;
}

/** The model hub of python/tests/hub.py, in a process of its own. */
export class HubProcess {
  private constructor(
    private readonly child: ChildProcess,
    /** For HF_ENDPOINT. */
    readonly url: string,
  ) {}

  /**
   * @param python any from 3.10 on
   * @param root holds a folder OWNER/NAME for each model
   * @param host the address at which those who ask can reach it
   */
  static async start(python: string, root: string, host = "127.0.0.1"): Promise<HubProcess> {
    const child = spawn(python, ["-m", "tests.hub", root, "--host", host], {
      cwd: resolve(import.meta.dirname, "../python"),
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [url] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
    return new HubProcess(child, url);
  }

  /** From now on these happen, and no others; what was asked before is forgotten. */
  async fail(...faults: Fault[]): Promise<void> {
    await fetch(`${this.url}/_faults`, { method: "PUT", body: JSON.stringify(faults) });
  }

  async requests(): Promise<HubRequest[]> {
    return (await (await fetch(`${this.url}/_requests`)).json()) as HubRequest[];
  }

  async close(): Promise<void> {
    this.child.kill();
    await once(this.child, "exit");
  }
}
