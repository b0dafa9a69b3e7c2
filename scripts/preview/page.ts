import { readFileSync } from "node:fs";
import { join } from "node:path";
import { html, Html } from "./html";
import type { Look } from "./image";
import { paletteCss } from "./palette";

/** The size of a page in CSS pixels: pictures have twice as many, the size that Raycast's store takes. */
export const PAGE = { width: 1000, height: 625 };

const style = readFileSync(join(import.meta.dirname, "style.css"), "utf8");

/** A whole page: the ground that all pictures share, and what is on the screen. */
export function page(content: Html, { theme }: Look, { hud }: { hud?: string } = {}): string {
  const { text } = html`<!doctype html>
    <html class="${theme}">
      <meta charset="utf-8" />
      <style>
        ${new Html(paletteCss(theme) + style)}
      </style>
      <body>
        ${content} ${hud !== undefined && html`<div class="hud">${hud}</div>`}
        <script>
          document.querySelector(".rows .selected")?.scrollIntoView({ block: "nearest" });
          // A wide menu goes beyond its item to the right, rather than off the screen.
          const menu = document.querySelector(".menu");
          const hidden = 16 - (menu?.getBoundingClientRect().left ?? 16);
          if (hidden > 0) menu.style.right = -hidden / menu.currentCSSZoom + "px";
        </script>
      </body>
    </html>`;
  return text;
}
