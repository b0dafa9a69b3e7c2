import { execFile, execFileSync, spawn, spawnSync, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const exec = promisify(execFile);

/** An engine is given this long to begin, to end, or to take an image, in milliseconds. */
const LIMIT_MS = 120_000;

/**
 * A real engine beside the machine's, to be stopped, killed and frozen without harm to anybody: root on Linux only. All of
 * it is in one folder and in a network namespace of its own, which outlives it: what it serves is seen by its own
 * containers, not by this machine.
 */
export class SecondEngine {
  private readonly folder = mkdtempSync(join(tmpdir(), "torbiz-engine-"));
  private readonly network = basename(this.folder);
  private readonly dataRoot = join(this.folder, "data-root");
  private readonly filler = join(this.dataRoot, "filler");
  private process?: ChildProcess;

  /** Where it listens while it runs. */
  readonly socket = join(this.folder, "docker.sock");

  /** @param diskMiB how much its disk holds; as much as this machine's when absent */
  constructor(private readonly diskMiB?: number) {}

  /** Resolves when it was started, not when it answers. */
  start(): void {
    this.prepare();
    const files = ["data-root", "exec-root", "pidfile"].flatMap((name) => [`--${name}`, join(this.folder, name)]);
    const args = ["dockerd", "--host", `unix://${this.socket}`, ...files, "--iptables=false"];
    this.process = spawn("nsenter", [`--net=/run/netns/${this.network}`, ...args], { stdio: "ignore" });
  }

  /** Resolves when it answers. */
  async ready(): Promise<void> {
    for (const end = Date.now() + LIMIT_MS; ; await sleep(200)) {
      const error = await this.docker("version").then(
        () => undefined,
        (reason: unknown) => reason,
      );
      if (!error) return;
      if (Date.now() > end) throw error;
    }
  }

  /** Runs the docker command on it. @returns what it wrote */
  async docker(...args: string[]): Promise<string> {
    return (await exec("docker", ["--host", `unix://${this.socket}`, ...args], { timeout: LIMIT_MS })).stdout;
  }

  /** Copies an image of the engine that the docker command uses. */
  async copy(image: string): Promise<void> {
    const script = `set -o pipefail; docker save "$1" | docker --host "unix://$2" load`;
    await exec("bash", ["-c", script, "copy", image, this.socket], { timeout: LIMIT_MS });
  }

  /** Takes all that its disk still holds. */
  fillDisk(): void {
    const { filler } = this;
    spawnSync("dd", ["if=/dev/zero", `of=${filler}`, "bs=1M"], { stdio: "ignore" });
    spawnSync("dd", ["if=/dev/zero", `of=${filler}`, "bs=4k", "oflag=append", "conv=notrunc"], { stdio: "ignore" });
  }

  freeDisk(): void {
    rmSync(this.filler, { force: true });
  }

  /** As when its power fails: its containers' processes go on until the next start, which finds and ends them. */
  async kill(): Promise<void> {
    this.process?.kill("SIGKILL");
    await this.gone();
    const { stdout } = await exec("ip", ["netns", "pids", this.network]);
    // What holds its ports, too, which a kill in the middle of a start leaves behind.
    for (const pid of stdout.split("\n").filter(Boolean)) {
      if (textOf(`/proc/${pid}/comm`).startsWith("docker-proxy")) killIfThere(Number(pid));
    }
    // Its containerd ends with it, and the next start would take that one's number, still unreaped, for a living process.
    rmSync(join(this.folder, "exec-root/containerd/containerd.pid"), { force: true });
  }

  /** It takes connections and answers nothing, as after a computer's sleep. */
  freeze(): void {
    this.process?.kill("SIGSTOP");
  }

  thaw(): void {
    this.process?.kill("SIGCONT");
  }

  /** Resolves when it has ended, with its containers; one that doesn't run is fine. */
  async stop(): Promise<void> {
    this.thaw();
    this.process?.kill("SIGTERM");
    await this.gone();
  }

  async remove(): Promise<void> {
    await this.stop();
    // Of one that was killed: what it had started is known by the folder in its command line.
    for (const pid of this.processes()) killIfThere(pid);
    for (const end = Date.now() + LIMIT_MS; this.processes().length > 0 && Date.now() < end;) await sleep(100);
    const mounts = readFileSync("/proc/mounts", "utf8")
      .split("\n")
      .map((line) => line.split(" ")[1] ?? "");
    for (const mount of mounts.filter((path) => path.startsWith(`${this.folder}/`)).reverse()) {
      await exec("umount", ["--lazy", mount]);
    }
    if (existsSync(`/run/netns/${this.network}`)) await exec("ip", ["netns", "delete", this.network]);
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Namespace and disk, once. */
  private prepare(): void {
    if (existsSync(this.dataRoot)) return;
    mkdirSync(this.dataRoot);
    const script =
      'ip netns add "$1" && ip -n "$1" link set lo up && { [ -z "$3" ] || mount -t tmpfs -o "size=$3m" tmpfs "$2"; }';
    execFileSync("sh", ["-c", script, "prepare", this.network, this.dataRoot, String(this.diskMiB ?? "")]);
  }

  private async gone(): Promise<void> {
    const pid = this.process?.pid;
    for (const end = Date.now() + LIMIT_MS; pid && existsSync(`/proc/${pid}`) && Date.now() < end;) await sleep(100);
    this.process = undefined;
  }

  private processes(): number[] {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
      .filter((pid) => textOf(`/proc/${pid}/cmdline`).includes(this.folder))
      .map(Number);
  }
}

/** Of a process that may have ended meanwhile: then "". */
function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended meanwhile.
  }
}
