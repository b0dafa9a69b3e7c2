import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { resolvePaths } from "../../../src/lib/paths";
import type { SetUpSurroundings } from "../../../src/lib/setup/surroundings";

/** A folder that stands for a whole machine: its own /etc, its own sockets, and only the commands that a test puts there. */
export class MachineFolder {
  readonly root = mkdtempSync(join(tmpdir(), "torbiz-machine-"));
  readonly messages: string[] = [];
  readonly changes: string[] = [];
  readonly surroundings: SetUpSurroundings;

  constructor(env: NodeJS.ProcessEnv = {}) {
    const home = join(this.root, "root");
    const own = { PATH: join(this.root, "bin"), TORBIZ_HOME: join(home, ".torbiz"), ...env };
    this.surroundings = {
      env: own,
      home,
      root: this.root,
      platform: "linux",
      uid: 0,
      paths: resolvePaths(own),
      onProgress: ({ message }) => this.messages.push(message),
      onChanged: (change) => this.changes.push(change),
    };
    this.write("etc/os-release", 'ID=debian\nVERSION_CODENAME=bookworm\nPRETTY_NAME="Debian"\n');
    this.command("apt-get", "");
  }

  write(path: string, text: string): string {
    const file = join(this.root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    return file;
  }

  /** Installs a command: a shell script that first notes its arguments. It finds the usual small tools, PATH or not. */
  command(name: string, script: string): void {
    const notes = join(this.root, "calls");
    const text = `#!/bin/sh\necho ${basename(name)} "$@" >> "${notes}"\nPATH="$PATH:/usr/bin:/bin"\n${script}\n`;
    chmodSync(this.write(join("bin", name), text), 0o755);
  }

  /**
   * The script of a dockerd that answers like Docker 20.10 until `killEngine`, with these images. Its process id and its
   * environment are left in the folder.
   */
  engineScript(images: readonly string[] = []): string {
    const file = (name: string) => JSON.stringify(join(this.root, name));
    const bodies = {
      "/version": { Version: "20.10.24", ApiVersion: "1.41" },
      "/info": {
        ...{ OSType: "linux", NCPU: 2, MemTotal: 1e9, Architecture: "x86_64", OperatingSystem: "Debian" },
        ...{ ServerVersion: "20.10.24", SecurityOptions: [] },
      },
      ...Object.fromEntries(
        images.map((name) => [
          `/images/${encodeURIComponent(name)}/json`,
          { Id: "sha256:0", Architecture: "amd64", Size: 1 },
        ]),
      ),
    };
    const program = `
      const http = require("node:http");
      const { mkdirSync, writeFileSync } = require("node:fs");
      mkdirSync(${file("var/run")}, { recursive: true });
      writeFileSync(${file("pid")}, String(process.pid));
      writeFileSync(${file("environ")}, JSON.stringify(process.env));
      const bodies = ${JSON.stringify(bodies)};
      http.createServer((request, response) => {
        response.setHeader("Api-Version", "1.41").setHeader("Ostype", "linux").setHeader("Server", "Docker/20.10.24 (linux)");
        const path = request.url.replace(/^\\/v[\\d.]+/, "");
        if (path !== "/_ping" && !bodies[path]) response.statusCode = 404;
        response.end(path === "/_ping" ? "OK" : JSON.stringify(bodies[path] ?? { message: "no such thing" }));
      }).listen(${file("var/run/docker.sock")});
    `;
    return `exec "${process.execPath}" -e '${program}'`;
  }

  killEngine(): void {
    process.kill(Number(readFileSync(join(this.root, "pid"), "utf8")));
  }

  /** The commands that were called, in order. */
  get calls(): string[] {
    const notes = join(this.root, "calls");
    return existsSync(notes) ? readFileSync(notes, "utf8").trim().split("\n") : [];
  }

  log(name: string): string {
    return readFileSync(join(this.surroundings.paths.logs, name), "utf8");
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }
}
