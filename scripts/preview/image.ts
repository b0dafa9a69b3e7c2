import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Json, ScreenNode } from "../../test/host/raycast";
import { Html, html } from "./html";
import { raycastIcon } from "./icons";

/** What a picture is drawn with. */
export interface Look {
  theme: "dark" | "light";
  /** The extension's assets: images that are files lie there. */
  assets: string;
}

type Value = Json | ScreenNode | undefined;

/** Raycast's own colors. "raycast-primary-text" and "raycast-secondary-text" are there as well. */
const COLORS = ["blue", "green", "magenta", "orange", "purple", "red", "yellow", "primary-text", "secondary-text"];

/** A color of Raycast's (`Color.Green`, "#fff", `{light, dark}`) as CSS. */
export function cssColor(color: Value, { theme }: Look): string | undefined {
  const value = field(color, theme) ?? color;
  if (typeof value !== "string") return undefined;
  const name = value.replace(/^raycast-/, "");
  return COLORS.includes(name) ? `var(--${name})` : value;
}

/**
 * An image in any form that Raycast takes: an icon, a file of the assets, a data URL, with a tint, for a theme, with a tooltip.
 * @throws Error for an icon that has no picture here
 */
export function image(value: Value, look: Look): Html | undefined {
  const withTooltip = field(value, "value");
  if (withTooltip !== undefined) return image(withTooltip, look);
  const source = field(value, "source") ?? value;
  const shown = field(source, look.theme) ?? source;
  if (typeof shown !== "string" || shown === "") return undefined;
  const color = cssColor(field(value, "tintColor"), look);
  return html`<i class="image" style="${color ? `color:${color}` : ""}">${picture(shown, look)}</i>`;
}

function picture(source: string, { assets }: Look): Html {
  if (source.startsWith("data:")) return html`<img src="${source}" alt="" />`;
  if (source.endsWith(".png")) {
    const file = readFileSync(join(assets, source)).toString("base64");
    return html`<img src="data:image/png;base64,${file}" alt="" />`;
  }
  const icon = raycastIcon(source);
  if (!icon) throw new Error(`No picture for the icon ${source}: add it to scripts/preview/icons.ts.`);
  return icon;
}

/** A field of a value, where the value is an object that has it. */
export function field(value: Value, name: string): Value {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  return (value as Record<string, Json | undefined>)[name];
}
