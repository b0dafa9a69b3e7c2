import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { AlertEntry, CommandView, ScreenNode } from "../../test/host/raycast";
import { photograph } from "./chromium";
import { html, type Html } from "./html";
import type { Look } from "./image";
import { menuBar } from "./menu";
import { page, PAGE } from "./page";
import type { Theme } from "./palette";
import { commandWindow, type WindowState } from "./window";

/** Pictures of screens as they were: taken at once, drawn later, since drawing takes a second each. */
export class Album {
  private readonly pictures: { name: string; taken: Date; content: (look: Look) => Html; hud?: string }[] = [];

  /**
   * @param folder where the pictures go, as `NAME-THEME.png`
   * @param assets the extension's assets
   * @param themes those of Raycast to draw each picture in
   */
  constructor(
    private readonly folder: string,
    private readonly assets: string,
    private readonly themes: readonly Theme[],
  ) {}

  /** Takes the window of a command, without its toast unless that is given: Raycast hides it after seconds. */
  window(name: string, view: CommandView, title: string, more: Partial<Omit<WindowState, "screen">> = {}): void {
    const state: WindowState = { screen: view.screen(), title, ...more };
    this.take(name, (look) => commandWindow(state, look));
  }

  /** Takes a window with a question above it. */
  alert(name: string, view: CommandView, title: string, alert: Omit<AlertEntry, "confirmed">): void {
    this.window(name, view, title, { alert });
  }

  /** Takes a menu-bar command with its menu. */
  menu(name: string, screen: ScreenNode): void {
    this.take(name, (look) => menuBar(screen, look));
  }

  /** Takes a message that shows without a window. */
  hud(name: string, hud: string): void {
    this.take(name, () => html``, hud);
  }

  private take(name: string, content: (look: Look) => Html, hud?: string): void {
    this.pictures.push({ name, taken: new Date(), content, hud });
  }

  /** Draws all that was taken. */
  async develop(chromium: string): Promise<void> {
    await mkdir(this.folder, { recursive: true });
    for (const { name, taken, content, hud } of this.pictures) {
      for (const theme of this.themes) {
        const look = { theme, assets: this.assets, taken };
        const file = join(this.folder, `${name}-${theme}.png`);
        await photograph(chromium, page(content(look), look, { hud }), file, { ...PAGE, scale: 2 });
      }
    }
  }
}
