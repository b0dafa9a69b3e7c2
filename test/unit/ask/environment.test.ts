import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { ensureEnvironment, parseLock, type EnvironmentOptions } from "../../../src/lib/ask/environment";
import { findPython, type FoundPython } from "../../../src/lib/ask/python";
import type { Progress } from "../../../src/lib/progress";

const LIMIT_MS = 120_000;
/** A small package without dependencies, with its hashes, out of a real lock. */
const small = parseLock(readFileSync("python/requirements/build.txt", "utf8")).find(({ name }) => name === "packaging");
const lockText = `# a comment\n${small?.text}`;

let python: FoundPython;
let root: string;
let seen: Progress[];

beforeAll(async () => {
  python = await findPython({ env: process.env, home: homedir(), platform: process.platform });
});

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "environment żółć "));
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
  return { paths, kind: "test", python, locks: [lock], onProgress: (progress) => seen.push(progress), ...more };
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
  "never uses a half-made one, and clears it away",
  async () => {
    const controller = new AbortController();
    const { folder } = await ensureEnvironment(options());
    rmSync(folder); // the name, which comes last: what it stood for is now an unfinished attempt
    const attempt = entries();
    expect(attempt).toHaveLength(1);
    const made = await ensureEnvironment(options({ signal: controller.signal }));
    expect(existsSync(made.python)).toBe(true);
    expect(entries()).not.toContain(attempt[0]);
    expect(entries()).toHaveLength(2);
  },
  LIMIT_MS,
);

it(
  "makes it anew when its Python is gone",
  async () => {
    const made = await ensureEnvironment(options());
    rmSync(made.python);
    expect(existsSync((await ensureEnvironment(options())).python)).toBe(true);
    expect(entries()).toHaveLength(2);
  },
  LIMIT_MS,
);

it(
  "removes those of its kind that were not used for a week, and no others",
  async () => {
    const DAY_MS = 24 * 3_600_000;
    const make = async (text: string, kind: string, ageDays: number): Promise<string> => {
      const lock = join(root, "empty.txt");
      writeFileSync(lock, `# ${text}`);
      const { folder } = await ensureEnvironment(options({ locks: [lock], kind }));
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
    await ensureEnvironment(options({ locks: [join(root, "empty.txt")] })); // its use makes it young again
    const last = await make("last", "test", 0);
    for (const folder of [recent, other, last]) expect(existsSync(join(folder, "bin/python"))).toBe(true);
    expect(entries()).toHaveLength(6);
  },
  LIMIT_MS,
);

it(
  "makes it once for two who want it at the same time",
  async () => {
    const [one, two] = await Promise.all([ensureEnvironment(options()), ensureEnvironment(options())]);
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

it("says how to complete a Python without venv", async () => {
  await expect(ensureEnvironment(options({ python: { ...python, canMakeVenv: false } }))).rejects.toMatchObject({
    code: "environment-failed",
    hint: expect.stringContaining("apt-get install python3-venv"),
  });
  expect(entries()).toEqual([]);
});

it("says that the disk is full", async () => {
  const full = join(root, "python");
  writeFileSync(full, "#!/bin/sh\necho \"OSError: [Errno 28] No space left on device: 'x'\" >&2\nexit 1\n");
  chmodSync(full, 0o755);
  await expect(ensureEnvironment(options({ python: { ...python, path: full } }))).rejects.toMatchObject({
    code: "disk-full",
  });
  expect(entries()).toEqual([]);
});

it("gives an environment another name when anything that it is made from differs", async () => {
  const names = new Set<string>();
  const broken = { ...python, path: "/bin/false" };
  const other = join(root, "other.txt");
  writeFileSync(other, "x==1\n");
  const variants: Partial<EnvironmentOptions>[] = [
    {},
    { python: { ...broken, version: "3.11.0" } },
    { locks: [other] },
    { kind: "other" },
  ];
  for (const variant of variants) {
    mkdirSync(join(root, "envs"), { recursive: true });
    const given = options({ python: broken, ...variant });
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
    for (const name of ["build", "swarm"]) {
      const text = readFileSync(`python/requirements/${name}.txt`, "utf8");
      const together = parseLock(text).map((entry) => entry.text);
      expect(text.endsWith(together.join(""))).toBe(true);
    }
  });
});
