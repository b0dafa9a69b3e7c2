import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** An engine is given this long to end, in milliseconds. */
const END_MS = 60_000;

/**
 * A real engine beside the machine's, to be stopped and started without harm to anybody: root on Linux only. All of it is
 * in one folder, and it has no networks: with `--bridge none` in the machine's own namespace it would remove the first
 * engine's docker0.
 */
export class SecondEngine {
  private readonly folder = mkdtempSync(join(tmpdir(), "torbiz-engine-"));
  private process?: ChildProcess;

  /** Where it listens while it runs. */
  readonly socket = join(this.folder, "docker.sock");

  /** Resolves when it was started, not when it answers. */
  start(): void {
    const files = ["data-root", "exec-root", "pidfile"].flatMap((name) => [`--${name}`, join(this.folder, name)]);
    const args = ["dockerd", "--host", `unix://${this.socket}`, ...files, "--bridge", "none", "--iptables=false"];
    this.process = spawn("unshare", ["--net", ...args], { stdio: "ignore" });
  }

  /** Resolves when it has ended; one that doesn't run is fine. */
  async stop(): Promise<void> {
    const pid = this.process?.pid;
    this.process?.kill("SIGTERM");
    for (const end = Date.now() + END_MS; pid && existsSync(`/proc/${pid}`) && Date.now() < end;) await sleep(100);
    this.process = undefined;
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
