import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "..", "..");

/** A part of a document that names the tests which hold it, as `- \`file\` › "test"`. */
export interface Section {
  title: string;
  text: string;
  tests: { file: string; name: string }[];
}

/** The parts of a document under docs/ that begin with `### `. */
export function sectionsOf(document: string): Section[] {
  return readFileSync(join(ROOT, "docs", document), "utf8")
    .split(/^### /m)
    .slice(1)
    .map((text) => ({
      title: text.split("\n")[0] ?? "",
      text,
      tests: [...text.matchAll(/^- `([^`]+)` › "(.+)"$/gm)].map(([, file = "", name = ""]) => ({ file, name })),
    }));
}

/** Whether there is a test of this name, in TypeScript or Python. */
export function isTest({ file, name }: { file: string; name: string }): boolean {
  const path = join(ROOT, file);
  return existsSync(path) && readFileSync(path, "utf8").includes(file.endsWith(".py") ? `def ${name}(` : `"${name}"`);
}
