import { readFile, writeFile } from "node:fs/promises";
import { format, resolveConfig } from "prettier";

/**
 * Puts a section in the place of the one with its heading, or at the end of the file.
 * @param heading the whole line: "## The swarm"
 */
export async function writeSection(file: string, heading: string, body: string): Promise<void> {
  const [before = "", after = ""] = (await readFile(file, "utf8")).split(new RegExp(`^${heading}$`, "m"));
  const rest = after.slice(after.search(/^(## |### )/m) >>> 0);
  const text = `${before.trimEnd()}\n\n${heading}\n\n${body}\n\n${rest}`;
  await writeFile(file, await format(text, { ...(await resolveConfig(file)), filepath: file }));
}

/** A Markdown table; the first row is its head. */
export function markdownTable([head = [], ...rows]: readonly (readonly string[])[]): string {
  return [head, head.map(() => "-"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}
