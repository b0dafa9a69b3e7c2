/** A figure of a benchmark's report that has a limit. */
export interface LimitedFigure {
  /** Names of the fields on the way to it, such as `swarm.stop.milliseconds`. */
  path: string;
  figure: number;
  limit: number;
}

/** What a report says of a figure that passes its limit until somebody has found out why. */
export const UNKNOWN_CAUSE = "The cause is not known yet.";

/** Every figure of a report with a limit beside it, such as `seconds` and `limitSeconds`, or `xBytes` and `xLimitBytes`. */
export function limitedFigures(value: unknown, path = ""): LimitedFigure[] {
  if (typeof value !== "object" || value === null) return [];
  const fields = value as Record<string, unknown>;
  return Object.entries(fields).flatMap(([name, field]) => {
    const what = /^limit([A-Z]\w*)$/.exec(name)?.[1] ?? /^(\w+)LimitBytes$/.exec(name)?.[1];
    if (what === undefined) return limitedFigures(field, `${path}${name}.`);
    const figure = name.startsWith("limit") ? `${what[0]?.toLowerCase()}${what.slice(1)}` : `${what}Bytes`;
    return [{ path: `${path}${figure}`, figure: Number(fields[figure]), limit: Number(field) }];
  });
}
