import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { StoredValue } from "./protocol";

/** `LocalStorage` of an extension: a file in the support folder, shared by all commands. */
export class StorageFile {
  private readonly file: string;

  constructor(supportPath: string) {
    this.file = join(supportPath, "local-storage.json");
  }

  read(): Record<string, StoredValue> {
    return existsSync(this.file) ? (JSON.parse(readFileSync(this.file, "utf8")) as Record<string, StoredValue>) : {};
  }

  write(items: Record<string, StoredValue>): void {
    writeFileSync(`${this.file}.half`, JSON.stringify(items));
    renameSync(`${this.file}.half`, this.file);
  }
}
