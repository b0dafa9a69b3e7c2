/** Words that stay small inside a title. */
const SMALL = new Set(["a", "an", "and", "as", "at", "but", "by", "for", "in", "of", "on", "or", "than", "the", "to"]);

/**
 * A sentence as a title of Raycast: the terminal has the same ones as sentences.
 *
 * @example
 * titleCase("The port is in use"); // "The Port Is in Use"
 */
export function titleCase(sentence: string): string {
  const words = sentence.split(" ");
  return words
    .map((word, index) =>
      SMALL.has(word) && index > 0 && index < words.length - 1 ? word : word.charAt(0).toUpperCase() + word.slice(1),
    )
    .join(" ");
}
