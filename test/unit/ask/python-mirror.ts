import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findPython, type FoundPython } from "../../../src/lib/ask/python";
import { openSurroundings } from "../../../src/lib/context";
import { hashOf } from "./hub-stand-in";

/** How the mirror answers. */
export type Serving = "all" | "nothing" | "slowly" | "half" | "rubbish";

/** A mirror of the Pythons that are fetched, with one in it: a copy of this computer's, packed as those are. */
export class PythonMirror {
  /** The ranges that were asked for; "" for all of it. */
  readonly requests: string[] = [];
  serve: Serving = "all";
  onRequest: () => void = () => undefined;
  private readonly server = createServer((request, response) => {
    const range = request.headers.range ?? "";
    this.requests.push(range);
    this.onRequest();
    if (this.serve === "nothing" || decodeURIComponent(request.url ?? "") !== `/${this.path}`) {
      return void response.writeHead(404).end();
    }
    const start = Number(/^bytes=(\d+)-$/.exec(range)?.[1] ?? 0);
    if (start >= this.archive.length) return void response.writeHead(416).end();
    const whole = this.serve === "rubbish" ? Buffer.alloc(this.archive.length) : this.archive;
    const rest = whole.subarray(start);
    response.writeHead(start > 0 ? 206 : 200, { "content-length": rest.length });
    if (this.serve === "half") response.write(rest.subarray(0, rest.length / 2), () => response.destroy());
    else if (this.serve === "slowly") response.write(rest.subarray(0, 100_000));
    else response.end(rest);
  });

  private constructor(
    /** What is packed. */
    readonly python: FoundPython,
    readonly archive: Buffer,
  ) {}

  static async open(): Promise<PythonMirror> {
    const folder = mkdtempSync(join(tmpdir(), "torbiz-mirror-"));
    try {
      const env = { ...process.env, TORBIZ_HOME: join(folder, "home") };
      const python = await findPython(openSurroundings({ runtimeFiles: folder, env }), { oldest: 11, newest: 11 });
      const mirror = new PythonMirror(python, pack(python, folder));
      mirror.server.listen(0, "127.0.0.1");
      await once(mirror.server, "listening");
      return mirror;
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  /** For UV_PYTHON_INSTALL_MIRROR. */
  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** Begins anew. */
  reset(): void {
    this.serve = "all";
    this.requests.length = 0;
    this.onRequest = () => undefined;
  }

  /** Writes the list that has this Python instead of the true ones. */
  writeList(runtimeFiles: string): void {
    const folder = join(runtimeFiles, "python", "requirements");
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "python.sha256"), `# A list\n${hashOf(this.archive)}  ${this.path}\n`);
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, "close");
  }

  private get path(): string {
    const system = process.platform === "darwin" ? "apple-darwin" : "unknown-linux-gnu";
    const processor = process.arch === "arm64" ? "aarch64" : "x86_64";
    return `20260101/cpython-${this.python.version}+20260101-${processor}-${system}-install_only_stripped.tar.gz`;
  }
}

function pack(python: FoundPython, folder: string): Buffer {
  copyPython(python, join(folder, "tree/python"));
  const archive = join(folder, "python.tar.gz");
  execFileSync("tar", ["-C", join(folder, "tree"), "-czf", archive, "python"]);
  return readFileSync(archive);
}

/**
 * Copies a Python, the interpreter and its library, without what nobody here imports.
 * @returns the copy's program and its library
 */
export function copyPython({ path, version }: FoundPython, folder: string): { path: string; library: string } {
  const name = `python${version.replace(/\.\d+$/, "")}`;
  const ask = (what: string) =>
    execFileSync(path, ["-I", "-c", `import os, sys, sysconfig; print(${what})`], { encoding: "utf8" }).trim();
  const copy = { path: join(folder, "bin", name), library: join(folder, "lib", name) };
  mkdirSync(join(folder, "bin"), { recursive: true });
  mkdirSync(join(folder, "lib"));
  const exclude = ["test", "tests", "idlelib", "tkinter", "site-packages", "dist-packages", "__pycache__", "config-*"];
  execFileSync("cp", ["-L", ask("os.path.realpath(sys.executable)"), copy.path]);
  execFileSync("sh", [
    "-c",
    `mkdir "$2" && tar -C "$1" ${exclude.map((one) => `--exclude='${one}'`).join(" ")} -cf - . | tar -C "$2" -xf -`,
    ...["sh", ask("sysconfig.get_path('stdlib')"), copy.library],
  ]);
  return copy;
}
