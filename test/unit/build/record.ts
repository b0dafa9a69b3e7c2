import { execFileSync, spawn } from "node:child_process";
import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/**
 * Records the fixtures of one builder anew, by real builds with this machine's docker: a whole one without cache, one that
 * pip fails in, and one whose base image can't be had. DOCKER_BUILDKIT, DOCKER_CONFIG, DOCKER_HOST and PATH choose the
 * builder; an engine's build cache must hold the first steps for the second one.
 *
 *     node --import tsx test/unit/build/record.ts NAME
 */

const root = join(import.meta.dirname, "..", "..", "..");
const fixtures = join(import.meta.dirname, "fixtures");
const home = mkdtempSync(join(tmpdir(), "torbiz-record-"));
const files = join(home, "files");
const wheels = process.env.TORBIZ_WHEELS ?? process.env.PIP_FIND_LINKS;

/** The fixtures' first line: by what they were made. */
function header(): string {
  const docker = (...args: string[]) => execFileSync("docker", args, { encoding: "utf8" }).trim();
  const [client, engine] = docker("version", "--format", "{{.Client.Version}} {{.Server.Version}}").split(" ");
  const store = docker("info", "--format", "{{.Driver}}");
  const builder = process.env.DOCKER_BUILDKIT === "0" ? "classic builder" : `BuildKit by ${buildx()}`;
  return `# Recorded ${new Date().toISOString().slice(0, 10)}: Docker Engine ${engine} (${store}), docker ${client}, ${builder}`;
}

function buildx(): string {
  try {
    const said = execFileSync("docker", ["buildx", "version"], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    return said.split(" ").slice(0, 2).join(" ").replace("github.com/docker/", "");
  } catch {
    return "docker itself";
  }
}

/** Nothing of this machine: neither its folders nor whom it asks. */
function neutral(line: string): string {
  return line
    .replaceAll(home, "/home/user/.torbiz")
    .replaceAll(wheels ?? homedir(), "/home/user/wheels")
    .replaceAll(/https:\/\/[\w.-]+\/v2\//g, "https://registry.example/v2/")
    .replaceAll(/lookup \S+ on [\d.]+:53/g, "lookup registry.example on 10.0.0.1:53");
}

async function record(file: string, { timed = false, args = [] as string[] }): Promise<void> {
  const target = join(fixtures, file);
  writeFileSync(target, `${header()}\n`);
  const script = join(files, "docker", "build-docker-macos.sh");
  const began = performance.now();
  const child = spawn("bash", [script, "--tag", "torbiz-petals-macos:recorded", ...args], {
    env: { ...process.env, TORBIZ_HOME: home },
    stdio: ["ignore", "pipe", "inherit"],
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const seconds = ((performance.now() - began) / 1000).toFixed(2);
    appendFileSync(target, `${timed ? `${seconds}\t` : ""}${neutral(line)}\n`);
  }
}

const [name] = process.argv.slice(2);
if (!name) throw new Error("Which builder is it? See the head of this file.");
for (const part of ["docker", "python", ".dockerignore"])
  cpSync(join(root, part), join(files, part), { recursive: true });
try {
  const dockerfile = readFileSync(join(files, "docker", "Dockerfile.macos"), "utf8");
  writeFileSync(join(fixtures, "Dockerfile.recorded"), `${header()}\n${dockerfile}`);
  await record(`${name}.tsv`, { timed: true, args: ["--no-cache"] });
  await record(`base-missing-${name}.log`, { args: ["--base-image", "python:3.11-slim-bookworm"] });
  const lock = join(files, "python", "requirements", "build.txt");
  writeFileSync(lock, readFileSync(lock, "utf8").replace(/^wheel==\S+/m, "wheel==0.47.99"));
  await record(`pip-failed-${name}.log`, {});
} finally {
  execFileSync("docker", ["rmi", "--force", "torbiz-petals-macos:recorded"], { stdio: "ignore" });
  rmSync(home, { recursive: true });
}
