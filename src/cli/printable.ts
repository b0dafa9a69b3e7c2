/** What models and strangers write must not steer the terminal: without control characters, except line breaks and tabs. */
export function printable(text: string): string {
  return text.replace(/[^\P{Cc}\n\t]/gu, "");
}
