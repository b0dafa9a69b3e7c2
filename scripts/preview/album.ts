import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { AlertEntry, CommandView, ScreenNode } from "../../test/host/raycast";
import { photograph } from "./chromium";
import { html, type Html } from "./html";
import type { Look } from "./image";
import { menuBar } from "./menu";
import { page, PAGE } from "./page";
import { commandWindow, type WindowState } from "./window";

const THEMES = ["dark", "light"] as const;

/** Pictures of screens as they were, in both themes: taken at once, drawn later, since drawing takes a second each. */
export class Album {
  private readonly taken: { name: string; content: (look: Look) => Html; hud?: string }[] = [];

  /**
   * @param folder where the pictures go, as `NAME-dark.png` and `NAME-light.png`
   * @param assets the extension's assets
   */
  constructor(
    private readonly folder: string,
    private readonly assets: string,
  ) {}

  /** Takes the window of a command, without its toast unless that is given: Raycast hides it after seconds. */
  window(name: string, view: CommandView, title: string, more: Partial<Omit<WindowState, "screen">> = {}): void {
    const state: WindowState = { screen: view.screen(), title, ...more };
    this.taken.push({ name, content: (look) => commandWindow(state, look) });
  }

  /** Takes a window with a question above it. */
  alert(name: string, view: CommandView, title: string, alert: Omit<AlertEntry, "confirmed">): void {
    this.window(name, view, title, { alert });
  }

  /** Takes a menu-bar command with its menu. */
  menu(name: string, screen: ScreenNode): void {
    this.taken.push({ name, content: (look) => menuBar(screen, look) });
  }

  /** Takes a message that shows without a window. */
  hud(name: string, hud: string): void {
    this.taken.push({ name, content: () => html``, hud });
  }

  /** Draws all that was taken. */
  async develop(chromium: string): Promise<void> {
    await mkdir(this.folder, { recursive: true });
    for (const { name, content, hud } of this.taken) {
      for (const theme of THEMES) {
        const look = { theme, assets: this.assets };
        const file = join(this.folder, `${name}-${theme}.png`);
        await photograph(chromium, page(content(look), look, { hud }), file, { ...PAGE, scale: 2 });
      }
    }
  }
}
