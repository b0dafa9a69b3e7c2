import { execFileSync, spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { toBuildError } from "../../../src/lib/docker/build/failure";
import { isAlive } from "../../../src/lib/is-alive";

const root = join(import.meta.dirname, "..", "..", "..");
let work: string;
let files: string;

beforeEach(() => {
  work = mkdtempSync(join(tmpdir(), "torbiz-script-"));
  // The folder as it is staged for the extension, with a blank in its path as on people's Macs.
  files = join(work, "Application Support");
  for (const part of ["docker", "python", ".dockerignore"])
    cpSync(join(root, part), join(files, part), { recursive: true });
});
afterEach(() => rmSync(work, { recursive: true, force: true }));

function script(args: string[], env: NodeJS.ProcessEnv = {}) {
  // No engine listens there: the script must not need one for these.
  const { status, stdout, stderr } = spawnSync("bash", [join(files, "docker", "build-docker-macos.sh"), ...args], {
    encoding: "utf8",
    env: { PATH: process.env.PATH, HOME: work, DOCKER_HOST: "unix:///nowhere/docker.sock", ...env },
  });
  return { status, stdout: stdout.trim(), stderr };
}

const hash = (env?: NodeJS.ProcessEnv) => script(["--inputs-hash"], env).stdout;

describe("build-docker-macos.sh --inputs-hash", () => {
  it("is the same for the same files, wherever they lie", () => {
    const there = spawnSync("bash", [join(root, "docker", "build-docker-macos.sh"), "--inputs-hash"], {
      encoding: "utf8",
      env: { PATH: process.env.PATH, HOME: work, DOCKER_HOST: "unix:///nowhere/docker.sock" },
    });
    expect(hash()).toMatch(/^[0-9a-f]{64}$/);
    expect(there.stdout.trim()).toBe(hash());
  });

  it.each(["docker/Dockerfile.macos", ".dockerignore", "python/requirements/petals.txt", "python/torbiz/seeder.py"])(
    "changes with %s",
    (file) => {
      const before = hash();
      appendFileSync(join(files, file), "\n# changed\n");
      expect(hash()).not.toBe(before);
    },
  );

  it("changes with a new file of ours", () => {
    const before = hash();
    writeFileSync(join(files, "python/torbiz/new.py"), "");
    expect(hash()).not.toBe(before);
  });

  it("doesn't change with bytecode, documents, or other ways to the same packages", () => {
    const before = hash();
    mkdirSync(join(files, "python/torbiz/__pycache__"), { recursive: true });
    writeFileSync(join(files, "python/torbiz/__pycache__/seeder.pyc"), "x");
    appendFileSync(join(files, "docker/inputs/README.txt"), "x");
    expect(hash({ TORBIZ_WHEELS: work, PIP_INDEX_URL: "https://user:word@index.example/simple" })).toBe(before);
    expect(hash({ TORBIZ_BASE_IMAGE: "other:1" })).toBe(before);
  });
});

describe("build-docker-macos.sh", () => {
  it("explains itself", () => {
    const { status, stdout } = script(["--help"]);
    expect(status).toBe(0);
    for (const option of [
      "--no-cache",
      "--platform",
      "--tag",
      "--base-image",
      "--wheels",
      "--ca-bundle",
      "--index-url",
      "--log",
    ]) {
      expect(stdout).toContain(option);
    }
  });

  it.each([
    [["--nonsense"], /unknown option --nonsense/],
    [["--tag"], /--tag needs a value/],
    [["--wheels", "/nowhere"], /wheel folder \/nowhere does not exist/],
    [["--ca-bundle", "/nowhere"], /CA bundle \/nowhere can't be read/],
    [["--index-url", "https://me:word@index.example/"], /stay in the image's history/],
  ])("refuses %j", (args, words) => {
    const { status, stderr } = script(args);
    expect(status).toBe(2);
    expect(stderr).toMatch(words);
  });

  it("leaves a build of the same tag alone, and says who builds and where its log is", () => {
    const run = join(work, ".torbiz", "run");
    mkdirSync(run, { recursive: true });
    const other = spawn("bash", ["-c", "exec -a build-docker-macos.sh sleep 60"]);
    const lock = join(run, "build-torbiz-petals-macos-x.lock");
    writeFileSync(
      lock,
      `{"pid":${other.pid},"startedAt":"${new Date().toISOString()}","log":"/logs/x.log","tag":"x"}\n`,
    );
    try {
      const { status, stderr } = script(["--tag", "torbiz-petals-macos:x"]);
      expect(status).toBe(75);
      expect(stderr).toContain(`by process ${other.pid}`);
      expect(stderr).toContain("/logs/x.log");
      expect(existsSync(lock)).toBe(true);
    } finally {
      other.kill();
    }
  });

  it.each([
    ["linux/arm64", ["aarch64"]],
    ["linux/amd64", ["x86_64"]],
    ["", ["aarch64", "x86_64"]],
  ])("takes only wheels that are locked, and for %j only its own", (platform, processors) => {
    const wheels = join(work, "wheels");
    mkdirSync(wheels);
    const version = /^numpy==(\S+) /m.exec(readFileSync(join(files, "python/requirements/petals.txt"), "utf8"))?.[1];
    const names = ["aarch64", "x86_64"].map(
      (processor) => `numpy-${version}-cp311-cp311-manylinux_2_28_${processor}.whl`,
    );
    for (const name of [...names, "numpy-0.1-cp311-cp311-manylinux_2_28_aarch64.whl"])
      writeFileSync(join(wheels, name), "");
    const { stdout } = script(["--wheels", wheels, ...(platform ? ["--platform", platform] : [])]);
    const used = [...stdout.matchAll(/^Using (\S+) from/gm)].map(([, name]) => name);
    expect(used).toEqual(names.filter((name) => processors.some((processor) => name.includes(processor))));
  });

  it("says so where the builder left no image in the engine, and fetches none by its name", () => {
    const bin = join(work, "bin");
    mkdirSync(bin);
    const calls = join(work, "calls");
    // A docker command whose engine has no image at first, though it builds.
    const docker = (inspect: string) =>
      writeFileSync(
        join(bin, "docker"),
        `#!/bin/sh\necho "$*" >>"${calls}"\n[ "$1 $2" != "image inspect" ] || ${inspect}\n`,
        { mode: 0o755 },
      );
    const run = () => script(["--tag", "torbiz-petals-macos:x"], { PATH: `${bin}:${process.env.PATH}` });
    docker("exit 1");
    const { status, stdout } = run();
    expect(status).toBe(1);
    expect(stdout).toMatch(
      /^torbiz: error docker's builder left no image in Docker\..*\n[^]*torbiz: failed step=image$/m,
    );
    expect(toBuildError(stdout.split("\n"), "/logs/x.log").message).toMatch(/^The build failed: .*BUILDX_BUILDER/);
    expect(readFileSync(calls, "utf8")).not.toMatch(/^run /m);
    docker("exit 0");
    run();
    expect(readFileSync(calls, "utf8")).toMatch(/^run .*--pull never /m);
  });

  describe("that is cancelled", () => {
    const asked = () => join(work, "asked");
    const lastLine = () =>
      readFileSync(join(work, ".torbiz/logs/build-torbiz-petals-macos-x.log"), "utf8").split("\n").at(-2);
    let build: ChildProcess;
    let ended: Promise<unknown[]>;
    const isRunning = () => build.exitCode === null && build.signalCode === null;

    /**
     * Cancels it in the middle of one of its docker commands.
     * @param then what all later ones do first, for the shell
     * @param meanwhile what that one does
     */
    async function cancelIn(command: string, then = ":", meanwhile = "exec sleep 60"): Promise<void> {
      const bin = join(work, "bin");
      mkdirSync(bin);
      // No image has our name yet, so that every command comes.
      const docker = `#!/bin/sh
[ ! -e "${asked()}" ] || { ${then}; }
case "$*" in
  "${command}"|"${command} "*) echo $$ >"${asked()}.part" && mv "${asked()}.part" "${asked()}"; ${meanwhile} ;;
  "image inspect "*:x) exit 1 ;;
esac
`;
      writeFileSync(join(bin, "docker"), docker, { mode: 0o755 });
      build = spawn(
        "bash",
        [join(files, "docker", "build-docker-macos.sh"), "--tag", "torbiz-petals-macos:x", "--base-image", "base:1"],
        { env: { PATH: `${bin}:${process.env.PATH}`, HOME: work }, stdio: "ignore", detached: true },
      );
      ended = once(build, "exit");
      while (!existsSync(asked()) && isRunning()) await sleep(20);
      build.kill();
    }

    afterEach(() => {
      if (isRunning()) process.kill(-Number(build.pid), "SIGKILL");
    });

    async function expectEnd(): Promise<void> {
      expect(await ended).toEqual([143, null]);
      expect(lastLine()).toBe("torbiz: cancelled");
      expect(isAlive(Number(readFileSync(asked(), "utf8")))).toBe(false);
      expect(readdirSync(join(work, ".torbiz", "run"))).toEqual([]);
    }

    it.each(["container prune", "info", "build", "run"])(
      "in the middle of docker %s ends that, says so in its log, and leaves nothing behind",
      async (command) => {
        await cancelIn(command);
        await expectEnd();
      },
    );

    it("kills a docker command that doesn't heed its end", async () => {
      await cancelIn("build", ":", "trap '' TERM; while :; do sleep 1; done");
      await expectEnd();
    });

    it.each(["container prune", "info", "build"])(
      "in the middle of docker %s needs no answer of an engine that gives none any more",
      async (command) => {
        await cancelIn(command, "exec sleep 60");
        await expectEnd();
      },
    );
  });

  it("takes the lock of a dead build over, fails honestly without an engine, and leaves nothing behind", () => {
    const run = join(work, ".torbiz", "run");
    mkdirSync(run, { recursive: true });
    const dead = spawnSync("true").pid;
    writeFileSync(
      join(run, "build-torbiz-petals-macos-x.lock"),
      `{"pid":${dead},"startedAt":"x","log":"x","tag":"x"}\n`,
    );
    chmodSync(join(files, "docker", "Dockerfile.macos"), 0o444);
    const { status, stdout } = script(["--tag", "torbiz-petals-macos:x"]);
    expect(status).toBe(1);
    expect(stdout).toMatch(/Cannot connect to the Docker daemon[^]*\ntorbiz: failed step=context$/);
    expect(execFileSync("ls", ["-A", run], { encoding: "utf8" })).toBe("");
    const log = execFileSync("cat", [join(work, ".torbiz/logs/build-torbiz-petals-macos-x.log")], { encoding: "utf8" });
    expect(log.trim()).toBe(stdout);
  });
});
