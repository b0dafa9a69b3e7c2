const LONGEST = 60;
const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** A title of one line: the first words of a text. */
export function titleOf(text: string): string {
  const line = oneLine(text.slice(0, 1000));
  if (line === "") return "Untitled";
  let end = 0;
  let count = 0;
  for (const { index, segment } of segmenter.segment(line)) {
    if (++count > LONGEST) return `${atWord(line.slice(0, end), line.charAt(end))}…`;
    end = index + segment.length;
  }
  return line;
}

/** Line breaks, tabs and runs of spaces as one space each. */
export function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}

/** Without the word that was cut, unless nothing much would be left, as in languages without spaces. */
function atWord(cut: string, next: string): string {
  if (next === " ") return cut;
  const space = cut.lastIndexOf(" ");
  return space > LONGEST / 2 ? cut.slice(0, space) : cut.trimEnd();
}
