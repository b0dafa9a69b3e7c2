import { matches } from "./look";
import { type MenuBar, menuBarOf, type MenuEntry } from "./menu-bar";
import { RunningCommand, type WaitOptions } from "./running-command";
import type { ScreenNode } from "./screen";
import { menuText } from "./text";

/** One load of a menu-bar command: it unloads as soon as it doesn't load any more, unless its menu is open. */
export class MenuCommand extends RunningCommand {
  isOpen = false;

  menu(): MenuBar {
    return menuBarOf(this.look());
  }

  /** @throws when it crashed, or is still loading after the time */
  async unloaded(options?: WaitOptions): Promise<MenuBar> {
    await this.until(() => this.hasEnded, "isLoading to be false", options);
    await this.ended;
    return this.menu();
  }

  protected override describe(screen: ScreenNode): string {
    return menuText(screen);
  }

  protected override renderedAgain(): void {
    if (!this.isOpen && !this.isLoading()) void this.end("unloaded");
  }
}

/** The menu of a menu-bar command while it is open. */
export class OpenMenu extends MenuCommand {
  override isOpen = true;

  /** Clicks an item, which closes the menu; resolves when the command has unloaded. */
  async click(
    title: string | RegExp,
    { alternate = false, button = "left-click" }: { alternate?: boolean; button?: "left-click" | "right-click" } = {},
  ): Promise<void> {
    await this.insist(async () => {
      const item = this.menu().items.find((one) => matches(entry(one, alternate).title, title));
      if (!item) throw new Error(`The menu has no item "${title}":\n${this.text()}`);
      const { node, enabled } = entry(item, alternate);
      if (!enabled) throw new Error(`"${title}" can't be clicked:\n${this.text()}`);
      const isDone = await this.process.call("invoke", node.id, "onAction", [{ type: button }], true);
      await this.throwCrash();
      return isDone !== false;
    });
    await this.close();
  }

  /** Closes the menu: the command unloads when it doesn't load any more. */
  async close(options?: WaitOptions): Promise<void> {
    this.isOpen = false;
    if (!this.isLoading()) await this.end("unloaded");
    await this.unloaded(options);
  }
}

function entry(item: MenuEntry, alternate: boolean): MenuEntry {
  return alternate ? (item.alternate ?? item) : item;
}
