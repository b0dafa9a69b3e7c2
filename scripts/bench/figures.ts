/** The middle one; of an even number the upper of the two. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}

/** To two digits behind the point. */
export function round(value: number): number {
  return Math.round(value * 100) / 100;
}
