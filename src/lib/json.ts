/** undefined when it is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Whether it has fields that can be looked at. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/**
 * The answer among the lines of a container: the last that is a JSON object. What its libraries say on stderr may be noted
 * after it, as the engine takes the two streams side by side.
 */
export function lastRecord(lines: readonly string[]): Record<string, unknown> | undefined {
  return lines.map(parseJson).findLast(isRecord);
}
