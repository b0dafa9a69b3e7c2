import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { resolvePaths } from "../../../src/lib/paths";
import type { SetUpSurroundings } from "../../../src/lib/setup/surroundings";

/** A folder that stands for a whole machine: its own /etc, its own sockets, and only the commands that a test puts there. */
export class MachineFolder {
  readonly root = mkdtempSync(join(tmpdir(), "torbiz-machine-"));
  readonly messages: string[] = [];
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
