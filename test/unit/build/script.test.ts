import { execFileSync, spawn, spawnSync } from "node:child_process";
import { appendFileSync, chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

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
    expect(stdout).toMatch(/Cannot connect to the Docker daemon[^]*\ntorbiz: failed step=image$/);
    expect(execFileSync("ls", ["-A", run], { encoding: "utf8" })).toBe("");
    const log = execFileSync("cat", [join(work, ".torbiz/logs/build-torbiz-petals-macos-x.log")], { encoding: "utf8" });
    expect(log.trim()).toBe(stdout);
  });
});
