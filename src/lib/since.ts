import { TorbizError } from "./errors";

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/**
 * Reads a time as people write it: how long ago ("90s", "10m", "2h", "3d"), or when ("2026-01-31", "2026-01-31T12:00").
 * @returns ISO 8601, UTC
 * @throws TorbizError usage
 */
export function parseSince(text: string, now = new Date()): string {
  const [, number, unit = ""] = /^(\d+)\s*([smhd])$/.exec(text.trim()) ?? [];
  const time = number === undefined ? Date.parse(whole(text)) : now.getTime() - Number(number) * (UNITS[unit] ?? NaN);
  // Before 1970 there is no date that an engine takes.
  if (!(time >= 0)) {
    throw new TorbizError("usage", `"${text}" is no time.`, {
      hint: "Say how long ago, such as 10m, 2h or 3d, or when, such as 2026-01-31T12:00.",
    });
  }
  return new Date(time).toISOString();
}

/** A day begins at midnight here, and not where it is UTC. */
function whole(text: string): string {
  const [, day, rest = ""] = /^(\d{4}-\d\d-\d\d)(T.+)?$/.exec(text.trim()) ?? [];
  return day === undefined ? "" : `${day}${rest || "T00:00"}`;
}
