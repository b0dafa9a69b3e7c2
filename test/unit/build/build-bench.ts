import { existsSync, chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ensureImage, type EnsureImageOptions } from "../../../src/lib/docker/build/image";
import { OWN_STEPS, planBuild } from "../../../src/lib/docker/build/plan";
import { CONTRACT } from "../../../src/lib/docker/build/state";
import { Engine } from "../../../src/lib/docker/engine";
import { resolveNames } from "../../../src/lib/names";
import { prepareHome, resolvePaths } from "../../../src/lib/paths";

const root = join(import.meta.dirname, "..", "..", "..");

const plan = planBuild(readFileSync(join(root, "docker", "Dockerfile.macos"), "utf8"));
/** The number of the step that installs PyTorch, where the docker command below comes to. */
export const TORCH_STEP = plan.findIndex(({ instruction }) => instruction.includes("--no-index")) + 1;
/** What it says there. */
export const LONG_STEP = `Step ${TORCH_STEP}/${plan.length - OWN_STEPS} : RUN what takes long`;

/**
 * A docker command that only notes what it is told. "hold" keeps a build going, "fail" makes it fail, with "plugin" another
 * process builds, and isn't told of a signal. As often as "gone" has lines there is no engine to ask.
 */
const DOCKER = `#!/usr/bin/env bash
cd "$(dirname "$0")"
case "$*" in *-building*) image=building ;; *) image=tagged ;; esac
case "$1 $2" in
  build*)
    echo "$*" >>builds
    echo "$*" >building
    echo "Step 1/34 : FROM base"
    echo "${LONG_STEP}"
    if [ -e plugin ]; then
      bash -c 'while [ -e hold ]; do sleep 0.1; done' &
      trap '' TERM
      echo >deaf
      wait
      exit 1
    fi
    while [ -e hold ]; do sleep 0.1; done
    if [ -e fail ]; then echo "ERROR: the wheels have come off"; exit 1; fi ;;
  tag*) cp building tagged ;;
  run*) printf '%s\\n' "$*" >checks ;;
  info*)
    if [ -s gone ]; then
      sed -i.old 1d gone
      echo "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?" >&2
      exit 1
    fi
    cat info 2>/dev/null || echo null ;;
  "image inspect")
    [ -e $image ] || exit 1
    case "$*" in
      *torbiz.checked*) sed 's/.*TORBIZ_CHECKED=\\([^ ]*\\).*/\\1/' $image ;;
      *Layers*) printf '%s\\n' base packages ours bytecode ;;
      *) echo sha256:1 ;;
    esac ;;
esac
`;

/** The real script and real processes, with a docker command and an engine that know one image by what they were told. */
export class BuildBench {
  readonly options: EnsureImageOptions;
  /** Further labels of the image. */
  labels: Record<string, string | undefined> = {};
  private readonly work = mkdtempSync(join(tmpdir(), "torbiz-image-"));
  private readonly server: Server;

  private constructor() {
    for (const part of ["docker", "python", ".dockerignore"])
      cpSync(join(root, part), this.at("files", part), { recursive: true });
    mkdirSync(this.at("bin"));
    writeFileSync(this.at("bin", "docker"), DOCKER);
    chmodSync(this.at("bin", "docker"), 0o755);
    this.server = createServer((_, response) => {
      response.writeHead(this.read("tagged") ? 200 : 404, { "content-type": "application/json" });
      response.end(JSON.stringify(this.imageInfo()));
    });
    const socketPath = this.at("docker.sock");
    const endpoint = { url: `unix://${socketPath}`, socketPath, source: "option" } as const;
    const paths = resolvePaths({ TORBIZ_HOME: this.at("home") });
    prepareHome(paths);
    this.options = {
      ...{ endpoint, paths, names: resolveNames({ TORBIZ_INSTANCE: "unit" }), runtimeFiles: this.at("files") },
      engine: new Engine(endpoint, "1.41"),
      env: { PATH: process.env.PATH, HOME: this.work },
      cliPath: () => Promise.resolve(this.at("bin", "docker")),
    };
  }

  static async open(): Promise<BuildBench> {
    const bench = new BuildBench();
    await new Promise<void>((resolve) => bench.server.listen(bench.at("docker.sock"), resolve));
    return bench;
  }

  close(): void {
    this.server.close();
    rmSync(this.work, { recursive: true, force: true });
  }

  at(...parts: string[]): string {
    return join(this.work, ...parts);
  }

  /** What the docker command noted. */
  read(name: string): string {
    return existsSync(this.at("bin", name)) ? readFileSync(this.at("bin", name), "utf8") : "";
  }

  /** The arguments of each build. */
  builds(): string[] {
    return this.read("builds").split("\n").filter(Boolean);
  }

  /** Starts a build that goes on until `release`. */
  async begin(more: Partial<EnsureImageOptions> = {}) {
    writeFileSync(this.at("bin", "hold"), "");
    const before = this.builds().length;
    const end = ensureImage({ ...this.options, ...more });
    while (this.builds().length === before) await sleep(20);
    return { end };
  }

  release(): void {
    rmSync(this.at("bin", "hold"));
  }

  /** Changes one of the files that the image is made from. */
  change(file: string): void {
    writeFileSync(this.at("files", file), `${readFileSync(this.at("files", file), "utf8")}# new\n`);
  }

  private imageInfo(): unknown {
    const argument = (name: string) => new RegExp(`${name}=(\\S+)`).exec(this.read("tagged"))?.[1];
    const labels = { "com.torbiz.inputs": argument("TORBIZ_INPUTS"), "com.torbiz.base": argument("BASE_IMAGE") };
    return {
      Id: "sha256:1",
      Size: 1,
      Config: { Labels: { ...labels, "com.torbiz.contract": String(CONTRACT), ...this.labels } },
    };
  }
}
