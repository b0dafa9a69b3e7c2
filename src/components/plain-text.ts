/** A sentence for a place that shows Markdown as it is written, such as a toast: without the marks around commands. */
export function plainText(sentence: string): string {
  return sentence.replaceAll("`", "");
}
