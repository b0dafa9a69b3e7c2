/** What Markdown, HTML or LaTeX could take for a mark anywhere in a line. */
const MARKS = /[&\\`*_[\]<>~$|#!]/g;
/** What is a mark only where a line begins. */
const AT_START = /^(\s*)(?:([-+=:])|(\d+)([.)]))/;

/**
 * A person's text as Markdown that shows it as it was typed: marks, spaces and line breaks included.
 *
 * Marks become character references rather than being escaped by a backslash, as `\(` and `\[` begin LaTeX in Raycast.
 *
 * @example
 * asTyped("*not* bold"); // "&#42;not&#42; bold"
 */
export function asTyped(text: string): string {
  return text
    .split(/\r\n|\r|\n/)
    .map((line) => reference(line))
    .join("  \n");
}

/** The same set off from what follows. */
export function quoted(text: string): string {
  return `> ${asTyped(text).replaceAll("\n", "\n> ")}`;
}

function reference(line: string): string {
  if (line.trim() === "") return "&nbsp;";
  const atStart = line
    .replace(MARKS, (mark) => `&#${mark.charCodeAt(0)};`)
    .replace(AT_START, (_all, spaces: string, mark?: string, number?: string, end?: string) =>
      mark ? `${spaces}&#${mark.charCodeAt(0)};` : `${spaces}${number}&#${(end ?? "").charCodeAt(0)};`,
    );
  return atStart.replace(/^[ \t]+| {2,}/g, (spaces) => "&nbsp;".repeat(spaces.replaceAll("\t", "    ").length));
}
