/** Raycast's own colors in its two themes, by the values of its `Color` without "raycast-". */
export const PALETTE = {
  dark: {
    "primary-text": "#f4f4f5",
    "secondary-text": "#98989f",
    blue: "#56b6ff",
    green: "#59d499",
    magenta: "#ff66c4",
    orange: "#ff9f43",
    purple: "#cf8df9",
    red: "#ff6b66",
    yellow: "#ffc533",
  },
  light: {
    "primary-text": "#1c1c1f",
    "secondary-text": "#6c6c75",
    blue: "#0a6fd6",
    green: "#12824f",
    magenta: "#c2287f",
    orange: "#b85c00",
    purple: "#8a3fd1",
    red: "#d0322d",
    yellow: "#96690a",
  },
} as const;

export type Theme = keyof typeof PALETTE;

/** A text in which Raycast's names of colors are the colors of a theme. */
export function withColors(text: string, theme: Theme): string {
  const colors: Record<string, string> = PALETTE[theme];
  return text.replace(/raycast-([a-z]+(?:-text)?)/g, (name, color: string) => colors[color] ?? name);
}

/** The colors as variables of CSS. */
export function paletteCss(theme: Theme): string {
  const lines = Object.entries(PALETTE[theme]).map(([name, color]) => `--${name}: ${color};`);
  return `:root { ${lines.join(" ")} }`;
}
