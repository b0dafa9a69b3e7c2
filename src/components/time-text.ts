const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/**
 * A time span in the two largest units that matter, in milliseconds: "40 s", "5 min", "2 h 5 min", "3 d 4 h".
 *
 * @example
 * durationText(7_500_000); // "2 h 5 min"
 */
export function durationText(ms: number): string {
  // Clocks of two machines, or one that was set: less than nothing makes no sense to anybody.
  const span = Math.max(0, ms);
  if (span < MINUTE) return `${Math.floor(span / SECOND)} s`;
  if (span < HOUR) return `${Math.floor(span / MINUTE)} min`;
  if (span < DAY) return joined(Math.floor(span / HOUR), "h", Math.floor((span % HOUR) / MINUTE), "min");
  return joined(Math.floor(span / DAY), "d", Math.floor((span % DAY) / HOUR), "h");
}

/** How long ago a moment was, given in ISO-8601: "just now", "3 min ago". */
export function agoText(iso: string, now = Date.now()): string {
  const age = now - Date.parse(iso);
  return age < 10 * SECOND ? "just now" : `${durationText(age)} ago`;
}

/** The time of day of a moment given in ISO-8601, on this computer's clock: "00:10:06". */
export function clockText(iso: string): string {
  return new Date(iso).toLocaleTimeString("en-US", {
    hourCycle: "h23",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  });
}

function joined(count: number, unit: string, rest: number, restUnit: string): string {
  return rest === 0 ? `${count} ${unit}` : `${count} ${unit} ${rest} ${restUnit}`;
}
