import fc from "fast-check";
import { marked } from "marked";
import { asTyped, quoted } from "../../src/components/ask/as-typed";

/** What a reader of the rendered Markdown sees. */
function shown(markdown: string): string {
  return (marked.parse(markdown, { async: false }) as string)
    .replaceAll(/<br>\n?/g, "\n")
    .replaceAll(/<\/?(p|blockquote)>\n?/g, "")
    .replaceAll(/&#(\d+);/g, (_all, code: string) => String.fromCharCode(Number(code)))
    .replaceAll("&nbsp;", " ")
    .replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">")
    .replaceAll("&quot;", '"')
    .replaceAll("&#39;", "'")
    .replaceAll("&amp;", "&");
}

const tidy = (text: string) =>
  text
    .split("\n")
    .map((line) => line.replaceAll("\t", "    ").trimEnd())
    .join("\n")
    .trim();

it.each([
  "*not bold*, _not italic_, `no code`, ~~here~~",
  "# no heading\n- no list\n+ neither\n1. nor this\n2) nor that\n> no quote",
  "    no code block\n\tnor this",
  "<b>no HTML</b> &amp; no entity",
  "[no](link) ![no](picture)",
  "no rule\n---\n===\n***",
  "\\(no LaTeX\\) $$nor$$ this",
  "| no | table |\n| --- | --- |",
  "no table\n:-",
  "two  spaces\n\n\nthree lines",
])("shows what was typed: %j", (text) => {
  expect(tidy(shown(asTyped(text)))).toBe(tidy(text));
  expect(tidy(shown(quoted(text)))).toBe(tidy(text));
});

it("shows any text as it was typed", () => {
  const piece = fc.constantFrom(..."*_`#-+=1.)>[]()!<&;$|~\\ \n\tab:/é😀".split(/(?:)/u));
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      const text = pieces.join("");
      expect(tidy(shown(asTyped(text)))).toBe(tidy(text));
    }),
    { numRuns: 500 },
  );
});

it("leaves nothing that LaTeX could begin with", () => {
  expect(asTyped("\\(x\\) \\[y\\] $z$")).not.toMatch(/[\\$]/);
});
