import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { homedir, tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { pythonFor } from "../../../src/lib/ask/ask-environments";
import { ensureEnvironment, parseLock, type EnvironmentOptions } from "../../../src/lib/ask/environment";
import { findPython, type FoundPython } from "../../../src/lib/ask/python";
import type { Progress } from "../../../src/lib/progress";
import { ForwardProxy } from "./forward-proxy";
import { copyPython } from "./python-mirror";

const LIMIT_MS = 120_000;
/** A small package without dependencies, with its hashes, out of a real lock. */
const small = parseLock(readFileSync("python/requirements/build.txt", "utf8")).find(({ name }) => name === "packaging");
const lockText = `# a comment\n${small?.text}`;

let python: FoundPython;
let root: string;
let seen: Progress[];

beforeAll(async () => {
  python = await findPython(
    { env: process.env, home: homedir(), platform: process.platform, paths: { pythons: "/nonexistent" } },
    pythonFor("swarm"),
  );
});

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "Jürgen's Mac 日本 "));
  mkdirSync(join(root, "envs"));
  seen = [];
});

afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

function options(more: Partial<EnvironmentOptions> = {}): EnvironmentOptions {
  const lock = join(root, "lock.txt");
  writeFileSync(lock, lockText);
  const paths = { envs: join(root, "envs"), logs: join(root, "logs") };
  return {
    ...{ paths, kind: "test", findPython: async () => python, locks: [lock], bytes: 1e6 },
    onProgress: (progress) => seen.push(progress),
    ...more,
  };
}

/** A lock without packages, and an environment without pip, which is soon made: for what is not about them. */
function withoutPackages(text = ""): Partial<EnvironmentOptions> {
  const lock = join(root, "empty.txt");
  writeFileSync(lock, `# ${text}`);
  const path = join(root, "python3");
  writeFileSync(path, `#!/bin/sh\nexec "${python.path}" "$@" --without-pip\n`, { mode: 0o755 });
  return { locks: [lock], findPython: async () => ({ ...python, path }) };
}

/** Makes an environment in a process of its own, which says at its end how it failed, and does more at each progress. */
function making(given: EnvironmentOptions, onProgress = ""): [string, string[]] {
  const script = `
    import { ensureEnvironment } from ${JSON.stringify(resolve("src/lib/ask/environment"))};
    const given = JSON.parse(process.argv[1] ?? "");
    const onProgress = () => { ${onProgress} };
    await ensureEnvironment({ ...given, findPython: async () => given.python, onProgress }).catch((error) =>
      process.stdout.write(JSON.stringify({ code: error.code, message: error.message })),
    );`;
  const argument = JSON.stringify({ ...given, python });
  return [process.execPath, ["--import", "tsx", "--input-type=module", "-e", script, argument]];
}

function entries(): string[] {
  return readdirSync(join(root, "envs")).sort();
}

it(
  "makes one that has the packages and no others, and finds it again",
  async () => {
    const made = await ensureEnvironment(options());
    const list = spawnSync(made.python, ["-I", "-m", "pip", "list", "--format", "json"], { encoding: "utf8" });
    const names = (JSON.parse(list.stdout) as { name: string }[]).map(({ name }) => name);
    expect(names.filter((name) => !["pip", "setuptools"].includes(name))).toEqual(["packaging"]);
    expect(seen.map(({ message }) => message)).toContain("Python package 1 of 1: packaging");
    expect(new Set(seen.map(({ stage }) => stage))).toEqual(new Set(["preparing-python"]));
    const fractions = seen.map(({ progress }) => progress);
    expect(fractions).toEqual([...fractions].sort());
    expect(fractions.at(-1)).toBe(1);

    seen = [];
    expect(await ensureEnvironment(options())).toEqual(made);
    expect(seen).toEqual([]);
    expect(entries()).toHaveLength(2);
  },
  LIMIT_MS,
);

it(
  "keeps others out of it and its log, whatever the umask",
  async () => {
    const umask = process.umask(0);
    const { folder } = await ensureEnvironment(options(withoutPackages())).finally(() => process.umask(umask));
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(statSync(join(root, "logs")).mode & 0o777).toBe(0o700);
    expect(statSync(join(root, "logs", "environment-test.log")).mode & 0o777).toBe(0o600);
  },
  LIMIT_MS,
);

it(
  "never uses a half-made one, and clears it away",
  async () => {
    const { folder } = await ensureEnvironment(options(withoutPackages()));
    rmSync(folder); // the name, which comes last: what it stood for is now an unfinished attempt
    const attempt = entries();
    expect(attempt).toHaveLength(1);
    const made = await ensureEnvironment(options(withoutPackages()));
    expect(existsSync(made.python)).toBe(true);
    expect(entries()).not.toContain(attempt[0]);
    expect(entries()).toHaveLength(2);
  },
  LIMIT_MS,
);

it(
  "makes it anew when its Python or a part of a package is gone",
  async () => {
    const bare = withoutPackages();
    rmSync((await ensureEnvironment(options(bare))).python);
    expect(existsSync((await ensureEnvironment(options(bare))).python)).toBe(true);
    expect(entries()).toHaveLength(2);

    const given = options({ locks: bare.locks, kind: "other" });
    const { folder, python: program } = await ensureEnvironment(given);
    const pip = join(folder, `lib/python${python.version.replace(/\.\d+$/, "")}/site-packages/pip`);
    const runs = () => spawnSync(program, ["-I", "-m", "pip", "--version"]).status === 0;
    // What Python itself adds and removes doesn't count.
    expect(runs()).toBe(true);
    rmSync(join(pip, "__pycache__"), { recursive: true });
    seen = [];
    await ensureEnvironment(given);
    expect(seen).toEqual([]);

    rmSync(join(pip, "__main__.py"));
    expect(runs()).toBe(false);
    await ensureEnvironment(given);
    expect(runs()).toBe(true);
    expect(entries()).toHaveLength(4);
  },
  LIMIT_MS,
);

it(
  "makes it anew after the Torbiz that made it was killed half-way",
  async () => {
    const given = options();
    const maker = spawn(...making(given, 'process.stdout.write("working")'), {
      env: { ...process.env, NODE_OPTIONS: "" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const ended = once(maker, "close");
    await once(maker.stdout, "data");
    maker.kill("SIGKILL");
    await ended;
    expect(entries()).toContainEqual(expect.stringMatching(/\.lock$/)); // and, if it got so far, what it began
    const made = await ensureEnvironment(given);
    expect(spawnSync(made.python, ["-I", "-c", ""]).status).toBe(0);
    expect(entries()).toHaveLength(2);
  },
  LIMIT_MS,
);

it(
  "works with a Python that its system manages, and leaves that as it is (PEP 668)",
  async () => {
    const { path, library } = copyPython(python, join(root, "system"));
    writeFileSync(join(library, "EXTERNALLY-MANAGED"), "[externally-managed]\nError=Ask the system.\n");
    const parts = () => readdirSync(library).filter((name) => name !== "__pycache__");
    const before = parts();
    const made = await ensureEnvironment(options({ findPython: async () => ({ ...python, path }) }));
    const code = "import packaging, sys; print(packaging.__file__, sys.base_prefix)";
    const told = spawnSync(made.python, ["-I", "-c", code], { encoding: "utf8" });
    expect(told.stdout).toContain(made.folder);
    expect(told.stdout.trim().endsWith(join(root, "system"))).toBe(true);
    expect(parts()).toEqual(before);
    // The same pip refuses to install into that Python itself.
    const env = { ...process.env, PYTHONPATH: join(made.folder, "lib", basename(library), "site-packages") };
    const refusal = spawnSync(path, ["-m", "pip", "install", "packaging"], { env, encoding: "utf8" });
    expect(refusal.status).not.toBe(0);
    expect(refusal.stderr).toContain("Ask the system.");
  },
  LIMIT_MS,
);

it(
  "removes those of its kind that were not used for a week, and no others",
  async () => {
    const DAY_MS = 24 * 3_600_000;
    const make = async (text: string, kind: string, ageDays: number): Promise<string> => {
      const { folder } = await ensureEnvironment(options({ ...withoutPackages(text), kind }));
      const used = new Date(Date.now() - ageDays * DAY_MS);
      utimesSync(folder, used, used);
      return folder;
    };
    const old = await make("old", "test", 8);
    const recent = await make("recent", "test", 6);
    const other = await make("old", "other", 8);
    expect(existsSync(old)).toBe(false);
    expect(entries()).toHaveLength(4);
    await make("recent", "test", 8);
    await ensureEnvironment(options(withoutPackages("recent"))); // its use makes it young again
    const last = await make("last", "test", 0);
    for (const folder of [recent, other, last]) expect(existsSync(join(folder, "bin/python"))).toBe(true);
    expect(entries()).toHaveLength(6);
  },
  LIMIT_MS,
);

it(
  "makes it once for two who want it at the same time",
  async () => {
    const [one, two] = await Promise.all([
      ensureEnvironment(options(withoutPackages())),
      ensureEnvironment(options(withoutPackages())),
    ]);
    expect(one).toEqual(two);
    expect(seen.filter(({ message }) => message === "The Python environment is ready")).toHaveLength(1);
    expect(entries()).toHaveLength(2);
  },
  LIMIT_MS,
);

it(
  "refuses packages that are not the locked ones, says why, and leaves nothing behind",
  async () => {
    const lock = join(root, "wrong.txt");
    writeFileSync(lock, lockText.replaceAll(/sha256:[0-9a-f]+/g, `sha256:${"0".repeat(64)}`));
    const failure = await ensureEnvironment(options({ locks: [lock] })).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "environment-failed" });
    expect((failure as Error).message).toMatch(/HASH/i);
    expect((failure as { details: { lines: string[] } }).details.lines.length).toBeGreaterThan(0);
    expect(readFileSync(join(root, "logs/environment-test.log"), "utf8")).toMatch(/0{64}/);
    expect(entries()).toEqual([]);
  },
  LIMIT_MS,
);

it(
  "stops when told to, and leaves nothing behind",
  async () => {
    const controller = new AbortController();
    const making = ensureEnvironment(
      options({ signal: controller.signal, onProgress: () => setTimeout(() => controller.abort(), 500) }),
    );
    await expect(making).rejects.toMatchObject({ code: "interrupted" });
    expect(entries()).toEqual([]);
  },
  LIMIT_MS,
);

it(
  "fetches packages through the proxy that is set",
  async () => {
    const wheels = join(root, "wheels");
    spawnSync(python.path, [
      "-m",
      "pip",
      "download",
      "--quiet",
      "--no-deps",
      "--dest",
      wheels,
      "-r",
      options().locks[0] ?? "",
    ]);
    const [wheel = ""] = readdirSync(wheels);
    const index = createServer((request, response) => {
      if (request.url === "/simple/packaging/") response.setHeader("content-type", "text/html");
      response.end(
        request.url?.endsWith(".whl") ? readFileSync(join(wheels, wheel)) : `<a href="/${wheel}">${wheel}</a>`,
      );
    });
    const proxy = new ForwardProxy();
    index.listen(0, "127.0.0.1");
    await Promise.all([once(index, "listening"), proxy.listen()]);
    try {
      const host = `index.test:${(index.address() as AddressInfo).port}`;
      const pip = { PIP_CONFIG_FILE: "/dev/null", PIP_INDEX_URL: `http://${host}/simple`, PIP_TRUSTED_HOST: host };
      const env = { PATH: process.env.PATH, ...pip, PIP_NO_CACHE_DIR: "1", HTTP_PROXY: proxy.url };
      const made = await ensureEnvironment(options({ env }));
      expect(spawnSync(made.python, ["-I", "-c", "import packaging"]).status).toBe(0);
      expect(proxy.requests).toEqual([`http://${host}/simple/packaging/`, `http://${host}/${wheel}`]);
    } finally {
      await proxy.close();
      index.close();
    }
  },
  LIMIT_MS,
);

it("says how to complete a Python without venv", async () => {
  const incomplete = { ...python, canMakeVenv: false };
  await expect(ensureEnvironment(options({ findPython: async () => incomplete }))).rejects.toMatchObject({
    code: "environment-failed",
    hint: expect.stringContaining("apt-get install python3-venv"),
  });
  expect(entries()).toEqual([]);
});

it("says how much space it takes where there isn't enough, before it begins", async () => {
  await expect(ensureEnvironment(options({ bytes: 1e15 }))).rejects.toMatchObject({
    code: "disk-full",
    message: expect.stringMatching(/^Only \d+\.\d GB is free for .* it takes about 1000000\.0 GB\.$/),
  });
  expect(seen).toEqual([]);
  expect(entries()).toEqual([]);
});

// Only there can anybody have a file system of their own: in a namespace, which takes it along when it ends.
if (process.platform === "linux") {
  it(
    "says that the disk got full in the middle, and leaves nothing behind",
    async () => {
      const folder = join(root, "envs");
      // The log has no room either.
      mkdirSync(join(root, "logs"));
      symlinkSync("/dev/full", join(root, "logs", "environment-test.log"));
      const own = ["unshare", "--mount", ...(process.getuid?.() === 0 ? [] : ["--map-root-user"])];
      const program = 'mount -t tmpfs -o size=4m tmpfs "$0" && "$@" && ls -A "$0"';
      const [node, args] = making(options({ bytes: 3e6 }));
      const result = spawnSync(own[0] ?? "", [...own.slice(1), "sh", "-c", program, folder, node, ...args], {
        env: { ...process.env, NODE_OPTIONS: "" },
        encoding: "utf8",
      });
      expect(result).toMatchObject({ status: 0, stderr: "" });
      // Nothing follows of the folder.
      expect(JSON.parse(result.stdout)).toEqual({
        code: "disk-full",
        message: expect.stringContaining("it takes about 0.0 GB"),
      });
    },
    LIMIT_MS,
  );
}

it("gives an environment another name when anything that it is made from differs", async () => {
  const names = new Set<string>();
  const broken = { ...python, path: "/bin/false" };
  const other = join(root, "other.txt");
  writeFileSync(other, "x==1\n");
  const variants: Partial<EnvironmentOptions>[] = [
    {},
    { env: { ...process.env, TORBIZ_PYTHON: "/my/python" } },
    { locks: [other] },
    { kind: "other" },
  ];
  for (const variant of variants) {
    const given = options({ findPython: async () => broken, ...variant });
    await ensureEnvironment({ ...given, onProgress: () => entries().forEach((name) => names.add(name)) }).catch(
      () => 0,
    );
  }
  expect([...names].filter((name) => name.endsWith(".lock"))).toHaveLength(variants.length);
});

describe("parseLock", () => {
  it("keeps each package with its marker, hashes and comments", () => {
    const text =
      "# top\nTorch==2.9.1 ; sys_platform == 'linux' \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n    # via x\nsix==1\n";
    expect(parseLock(text)).toEqual([
      {
        name: "torch",
        text: "Torch==2.9.1 ; sys_platform == 'linux' \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n    # via x\n",
      },
      { name: "six", text: "six==1\n" },
    ]);
  });

  it("loses nothing of the real locks", () => {
    for (const name of ["build", "swarm", "local"]) {
      const text = readFileSync(`python/requirements/${name}.txt`, "utf8");
      const together = parseLock(text).map((entry) => entry.text);
      expect(text.endsWith(together.join(""))).toBe(true);
    }
  });
});
