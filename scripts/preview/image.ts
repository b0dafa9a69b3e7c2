import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Json, ScreenNode } from "../../test/host/raycast";
import { Html, html } from "./html";
import { raycastIcon } from "./icons";
import { type Theme, withColors } from "./palette";

/** What a picture is drawn with. */
export interface Look {
  theme: Theme;
  /** The extension's assets: images that are files lie there. */
  assets: string;
  /** When the picture was taken: drawn, it may be minutes later. */
  taken: Date;
}

type Value = Json | ScreenNode | undefined;

/** A color of Raycast's (`Color.Green`, "#fff", `{light, dark}`) as CSS. */
export function cssColor(color: Value, { theme }: Look): string | undefined {
  const value = field(color, theme) ?? color;
  return typeof value === "string" ? withColors(value, theme) : undefined;
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

function picture(source: string, { theme, assets }: Look): Html {
  if (source.startsWith("data:")) return html`<img src="${themed(source, theme)}" alt="" />`;
  if (source.endsWith(".png")) {
    const file = readFileSync(join(assets, source)).toString("base64");
    return html`<img src="data:image/png;base64,${file}" alt="" />`;
  }
  const icon = raycastIcon(source);
  if (!icon) throw new Error(`No picture for the icon ${source}: add it to scripts/preview/icons.ts.`);
  return icon;
}

/**
 * A data URL with a theme's colors. Drawings such as a ring of progress name Raycast's colors, and take white for what
 * stands out: the test host says to commands that its theme is dark.
 */
function themed(url: string, theme: Theme): string {
  const colored = withColors(url, theme).replaceAll("#", "%23");
  return theme === "light" ? colored.replaceAll("%22white%22", "%22black%22") : colored;
}

/** A field of a value, where the value is an object that has it. */
export function field(value: Value, name: string): Value {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  return (value as Record<string, Json | undefined>)[name];
}
