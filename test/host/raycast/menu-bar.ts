import { shortcutOf } from "./look";
import type { Shortcut } from "./protocol";
import { type Json, type ScreenNode, slot, words } from "./screen";
import { menuText } from "./text";

export interface MenuEntry {
  title: string;
  subtitle: string;
  section?: string;
  submenu?: string;
  /** Whether it can be clicked. */
  enabled: boolean;
  shortcut?: Shortcut;
  /** What is there instead while Option is held. */
  alternate?: MenuEntry;
  node: ScreenNode;
}

/** What a menu-bar command put into the menu bar. */
export interface MenuBar {
  /** False where it rendered nothing. */
  shown: boolean;
  title: string;
  tooltip: string;
  icon?: Json;
  items: MenuEntry[];
  screen?: ScreenNode;
  text: string;
}

export function menuBarOf(screen: ScreenNode | undefined): MenuBar {
  if (!screen) return { shown: false, title: "", tooltip: "", items: [], text: "" };
  const { title, tooltip, icon } = screen.props;
  return {
    ...{ shown: true, title: words(title), tooltip: words(tooltip), icon: icon as Json | undefined },
    ...{ items: entriesOf(screen), screen, text: menuText(screen) },
  };
}

function entriesOf(node: ScreenNode, section?: string, submenu?: string): MenuEntry[] {
  if (node.type === "MenuBarExtra.Item") return [toEntry(node, section, submenu)];
  const { title } = node.props;
  const inner = node.type === "MenuBarExtra.Section" ? words(title) || undefined : section;
  const menu = node.type === "MenuBarExtra.Submenu" ? words(title) : submenu;
  return node.children.flatMap((child) => entriesOf(child, inner, menu));
}

function toEntry(node: ScreenNode, section?: string, submenu?: string): MenuEntry {
  const { title, subtitle, shortcut } = node.props;
  const alternate = slot(node, "alternate");
  return {
    ...{ title: words(title), subtitle: words(subtitle), section, submenu },
    ...{ enabled: node.handlers.includes("onAction"), shortcut: shortcutOf(shortcut) },
    ...(alternate ? { alternate: toEntry(alternate, section, submenu) } : {}),
    node,
  };
}
