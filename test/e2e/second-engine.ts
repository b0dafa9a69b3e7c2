import { execFile, execFileSync, spawn, spawnSync, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
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
  private frozen: number[] = [];

  /** Where it listens while it runs. */
  readonly socket = join(this.folder, "docker.sock");

  /**
   * @param diskMiB how much its disk holds; as much as this machine's when absent
   * @param settings what its daemon.json holds
   */
  constructor(
    private readonly diskMiB?: number,
    private readonly settings: object = {},
  ) {}

  /** Resolves when it was started, not when it answers. */
  start(): void {
    this.prepare();
    const files = ["data-root", "exec-root", "pidfile"].flatMap((name) => [`--${name}`, join(this.folder, name)]);
    // Always a file of its own: without one it would take the settings of this machine's engine.
    const settings = join(this.folder, "daemon.json");
    writeFileSync(settings, JSON.stringify(this.settings));
    const args = [
      "dockerd",
      "--config-file",
      settings,
      "--host",
      `unix://${this.socket}`,
      ...files,
      "--iptables=false",
    ];
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

  /** Makes its disk, which has to be its own, smaller or larger. */
  async resizeDisk(diskMiB: number): Promise<void> {
    await exec("mount", ["-o", `remount,size=${diskMiB}m`, this.dataRoot]);
  }

  /** As when its power fails: its containers' processes go on until the next start, which finds and ends them. */
  async kill(): Promise<void> {
    this.process?.kill("SIGKILL");
    await this.gone();
    const { stdout } = await exec("ip", ["netns", "pids", this.network]);
    // What holds its ports, too, which a kill in the middle of a start leaves behind.
    for (const pid of stdout.split("\n").filter(Boolean)) {
      if (textOf(`/proc/${pid}/comm`).startsWith("docker-proxy")) signalIfThere(Number(pid), "SIGKILL");
    }
    // Its containerd ends with it, and the next start would take that one's number, still unreaped, for a living process.
    rmSync(join(this.folder, "exec-root/containerd/containerd.pid"), { force: true });
  }

  /** While it doesn't run: its containers were made that much earlier. */
  makeContainersOlder(ms: number): void {
    const containers = join(this.dataRoot, "containers");
    for (const id of readdirSync(containers)) {
      const file = join(containers, id, "config.v2.json");
      const config = JSON.parse(readFileSync(file, "utf8")) as { Created: string };
      writeFileSync(
        file,
        JSON.stringify({ ...config, Created: new Date(Date.parse(config.Created) - ms).toISOString() }),
      );
    }
  }

  /** It takes connections and answers nothing, and a container's processes stand still, as in a computer's sleep. */
  freeze(container?: string): void {
    this.process?.kill("SIGSTOP");
    this.frozen = container ? processesOf("cgroup", container) : [];
    for (const pid of this.frozen) signalIfThere(pid, "SIGSTOP");
  }

  thaw(): void {
    for (const pid of this.frozen) signalIfThere(pid, "SIGCONT");
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
    const left = () => processesOf("cmdline", this.folder);
    for (const pid of left()) signalIfThere(pid, "SIGKILL");
    for (const end = Date.now() + LIMIT_MS; left().length > 0 && Date.now() < end;) await sleep(100);
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
}

/** Other processes whose file in /proc has this word. */
function processesOf(file: "cmdline" | "cgroup", word: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((pid) => textOf(`/proc/${pid}/${file}`).includes(word))
    .map(Number);
}

/** Of a process that may have ended meanwhile: then "". */
export function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function signalIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended meanwhile.
  }
}
