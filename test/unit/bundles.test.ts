import { execFileSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = process.cwd();
const BUILD_TIMEOUT_MS = 300_000;
const limits = [
  ["menu-bar", 64],
  ["stop-sharing", 310],
  ["share-gpu", 440],
  ["doctor", 420],
  ["ask-model", 300],
] as const;

/** The extension as the launcher gets it. */
let dist: string;

beforeAll(() => {
  dist = mkdtempSync(join(tmpdir(), "torbiz-dist-"));
  execFileSync(process.execPath, ["scripts/stage-assets.mjs"], { cwd: root });
  execFileSync(process.execPath, ["node_modules/@raycast/api/bin/run.js", "build", "-e", "dist", "-o", dist], {
    cwd: root,
    stdio: "pipe",
  });
}, BUILD_TIMEOUT_MS);

afterAll(() => rmSync(dist, { recursive: true, force: true }));

describe("the built extension", () => {
  it.each(limits)("keeps %s under %d KB", (name, limit) => {
    expect(statSync(join(dist, `${name}.js`)).size).toBeLessThanOrEqual(limit * 1024);
  });

  it("loads with nothing but what the launcher brings", () => {
    const packages = join(dist, "node_modules");
    mkdirSync(join(packages, "@raycast", "api"), { recursive: true });
    // The launcher's own module: any name of it can be read, and none is called while a command loads.
    writeFileSync(
      join(packages, "@raycast", "api", "index.js"),
      "module.exports = new Proxy(class {}, { get: () => module.exports });",
    );
    symlinkSync(join(root, "node_modules", "react"), join(packages, "react"));
    for (const [name] of limits) {
      const script = `process.stdout.write(typeof require("./${name}.js").default)`;
      expect(execFileSync(process.execPath, ["-e", script], { cwd: dist, encoding: "utf8" })).toBe("function");
    }
  });

  it("brings all that the image is built from, as real files", () => {
    const runtime = join(dist, "assets", "runtime");
    const entries = readdirSync(runtime, { recursive: true, encoding: "utf8" });
    for (const name of [
      ".dockerignore",
      "docker/Dockerfile.macos",
      "docker/inputs/README.txt",
      "python/torbiz/seeder.py",
      "python/requirements/petals.txt",
    ]) {
      expect(entries).toContain(name);
      expect(readFileSync(join(runtime, name))).toEqual(readFileSync(join(root, name)));
    }
    expect(entries.filter((name) => lstatSync(join(runtime, name)).isSymbolicLink())).toEqual([]);
    expect(entries.filter((name) => /__pycache__|\.pyc$|_cache$|\.whl$|\/tests(\/|$)/.test(name))).toEqual([]);
    expect(readdirSync(join(runtime, "docker", "inputs"))).toEqual(["README.txt"]);
    expect(statSync(join(runtime, "docker", "build-docker-macos.sh")).mode & 0o111).toBe(0o111);
  });

  it("makes the same image as the checkout", () => {
    const inputsHash = (folder: string) =>
      execFileSync(join(folder, "docker", "build-docker-macos.sh"), ["--inputs-hash"], { encoding: "utf8" }).trim();
    expect(inputsHash(join(dist, "assets", "runtime"))).toBe(inputsHash(root));
    expect(inputsHash(root)).toMatch(/^[0-9a-f]{64}$/);
  });

  it("leaves out what an earlier build had staged", () => {
    const stale = join(root, "assets", "runtime", "stale.txt");
    writeFileSync(stale, "");
    execFileSync(process.execPath, ["scripts/stage-assets.mjs"], { cwd: root });
    expect(existsSync(stale)).toBe(false);
  });
});
