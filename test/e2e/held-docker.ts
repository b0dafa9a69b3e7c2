import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * A docker command that runs no container while it is held. With the layers that other suites have built, a build is over
 * within seconds: its last step waits, for as long as somebody looks at it.
 */
export class HeldDocker {
  /** To be first in a PATH. */
  readonly folder = mkdtempSync(join(tmpdir(), "torbiz-held-"));
  private readonly mark = join(this.folder, "held");

  /** @param docker the command itself */
  constructor(docker: string) {
    const wait = `[ "$1" != run ] || while [ -e '${this.mark}' ]; do sleep 0.1; done`;
    writeFileSync(join(this.folder, "docker"), `#!/bin/sh\n${wait}\nexec '${docker}' "$@"\n`, { mode: 0o755 });
  }

  hold(): void {
    writeFileSync(this.mark, "");
  }

  release(): void {
    rmSync(this.mark, { force: true });
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
