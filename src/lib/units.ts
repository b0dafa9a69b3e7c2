/** Bytes in decimal units, as `torbiz.units.size` writes them: "3.5 GB", "12 MB", "120 kB". */
export function sizeText(bytes: number): string {
  const [size, name] = unitFor(bytes);
  const value = bytes / size;
  return value < 9.95 && size > 1e3 ? `${value.toFixed(1)} ${name}` : `${Math.round(value)} ${name}`;
}

/** The unit in which an amount is neither 0.1 nor 1,000, as far as there is one. */
export function unitFor(bytes: number): [size: number, name: string] {
  if (bytes >= 0.95e9) return [1e9, "GB"];
  return bytes >= 0.95e6 ? [1e6, "MB"] : [1e3, "kB"];
}
