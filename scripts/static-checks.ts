import { readdirSync } from "node:fs";
import { join } from "node:path";
import { pythonFor } from "../src/lib/ask/ask-environments";
import type { PythonRange } from "../src/lib/ask/python";

/** A command that must end with exit code 0. */
export interface StaticCheck {
  name: string;
  command: string;
  args: string[];
  /** On top of the usual environment. */
  env?: NodeJS.ProcessEnv;
}

/** The three packages that exist as sources only. They are pure Python: any machine builds them without a compiler. */
const PURE_SOURCES = ["prefetch-generator", "python-baseconv", "varint"];

/** uv's names of the platforms: the oldest system on each that PyTorch has wheels for. */
const LINUX = ["x86_64-manylinux_2_28", "aarch64-manylinux_2_28"];
const MACOS = ["aarch64-apple-darwin", "x86_64-apple-darwin"];

const EVERYWHERE = [...LINUX, ...MACOS];

/** Where each lock must be installable: all but the image's own also by people's own Pythons, on their systems. */
const LOCKS: { lock: string; platforms: string[]; pythons: string[] }[] = [
  { lock: "petals.txt", platforms: LINUX, pythons: ["3.11"] },
  { lock: "build.txt", platforms: EVERYWHERE, pythons: versionsOf(pythonFor("swarm")) },
  { lock: "swarm.txt", platforms: EVERYWHERE, pythons: versionsOf(pythonFor("swarm")) },
  // Fetched by the environment that answers on this computer, and by the image's build.
  { lock: "starter.txt", platforms: EVERYWHERE, pythons: versionsOf(pythonFor("local")) },
  { lock: "local.txt", platforms: EVERYWHERE, pythons: versionsOf(pythonFor("local")) },
];

function versionsOf({ oldest, newest }: PythonRange): string[] {
  return Array.from({ length: newest - oldest + 1 }, (_, index) => `3.${oldest + index}`);
}

/** It makes the types of the manifest's preferences, too, without which nothing else has its types. */
export const EXTENSION_BUILDS: StaticCheck = {
  name: "the extension builds",
  command: "npm",
  args: ["run", "--silent", "build"],
};

/**
 * All checks that only read. They come after EXTENSION_BUILDS.
 *
 * @param root the checkout
 * @param pythonBin the `bin` folder of the development environment
 * @param env where pip's own settings may name wheels and an index; uv, which resolves the locks, doesn't read them itself
 */
export function staticChecks(root: string, pythonBin: string, env: NodeJS.ProcessEnv): StaticCheck[] {
  const tool = (name: string) => join(pythonBin, name);
  const node = (...path: string[]) => ({ command: process.execPath, path: join(root, "node_modules", ...path) });
  const tsc = node("typescript", "bin", "tsc");
  const eslint = node("eslint", "bin", "eslint.js");
  const prettier = node("prettier", "bin", "prettier.cjs");
  return [
    { name: "types of the sources", command: tsc.command, args: [tsc.path, "-p", "tsconfig.json"] },
    { name: "types of tests and scripts", command: tsc.command, args: [tsc.path, "-p", "test/tsconfig.json"] },
    rayLint(root),
    // Of all but src, which ray lint has seen to.
    { name: "eslint", command: eslint.command, args: [eslint.path, "test", "scripts"] },
    { name: "prettier", command: prettier.command, args: [prettier.path, "--check", ".", "!src"] },
    { name: "ruff", command: tool("ruff"), args: ["check", "--output-format", "concise"] },
    { name: "ruff format", command: tool("ruff"), args: ["format", "--check"] },
    { name: "mypy", command: tool("mypy"), args: [] },
    { name: "shellcheck", command: tool("shellcheck"), args: [".ci/run", ...shellScripts(root)] },
    {
      name: "hadolint",
      command: tool("hadolint"),
      args: ["--no-color", "--failure-threshold", "warning", join("docker", "Dockerfile.macos")],
    },
    ...lockChecks(root, tool("uv"), env),
  ];
}

/**
 * What the store checks of an extension: sizes of icons and pictures, titles, lock files, ESLint and Prettier on src. Two
 * of its checks ask Raycast's server: the author, and the manifest's schema. They are answered here with `{}`, so that it
 * needs no network (test/unit/manifest.test.ts holds the manifest). "#" leaves out of the URL what is appended to it.
 */
function rayLint(root: string): StaticCheck {
  const anything = "data:application/json;base64,e30=#";
  const ray = join(root, "node_modules", "@raycast", "api", "bin", "run.js");
  // Outside CI it doesn't look at package-lock.json.
  const env = { CI: "true", RAY_APIURL: anything };
  return { name: "ray lint", command: process.execPath, args: [ray, "lint", "--schema", anything], env };
}

function shellScripts(root: string): string[] {
  return ["docker", "scripts"].flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith(".sh"))
      .map((name) => join(folder, name)),
  );
}

/**
 * Each lock resolves to wheels on each platform it is for. Nothing is downloaded but the index pages: `--dry-run` stops
 * before, and `--no-deps` takes the lock's word for what is in it. Known vulnerabilities aren't asked for here, as only PyPI
 * itself tells of them: whoever renews a lock does that by hand, as scripts/lock-python.sh says.
 */
function lockChecks(root: string, uv: string, env: NodeJS.ProcessEnv): StaticCheck[] {
  const index = env.PIP_INDEX_URL ? ["--default-index", env.PIP_INDEX_URL] : [];
  // PyTorch's CPU build for x86_64 isn't on the ordinary index: a folder of wheels has it, or PyTorch's own index.
  const torch = env.PIP_FIND_LINKS
    ? env.PIP_FIND_LINKS.split(/\s+/).flatMap((place) => ["--find-links", place])
    : ["--index", "https://download.pytorch.org/whl/cpu", "--index-strategy", "unsafe-best-match"];
  const wanted = LOCKS.flatMap(({ lock, platforms, pythons }) =>
    platforms.flatMap((platform) => pythons.map((python) => ({ lock, platform, python }))),
  );
  return wanted.map(({ lock, platform, python }) => ({
    name: `${lock} on ${platform}, Python ${python}`,
    command: uv,
    // torch's wheels for Apple silicon want macOS 14; uv takes an older one for granted.
    env: { MACOSX_DEPLOYMENT_TARGET: "14.0" },
    args: [
      ...["pip", "install", "--no-config", "--dry-run", "--quiet", "--no-deps", "--require-hashes"],
      ...["--target", join(root, "test-results", "lock-check"), "--python-version", python],
      ...["--python-platform", platform, "--only-binary", ":all:"],
      ...PURE_SOURCES.flatMap((name) => ["--no-binary", name]),
      ...index,
      ...torch,
      ...["-r", join("python", "requirements", lock)],
    ],
  }));
}
