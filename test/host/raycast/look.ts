import type { Shortcut } from "./protocol";
import { type Json, nodesOf, type ScreenNode, slot, words } from "./screen";

/** A row of a list, or a cell of a grid. */
export interface Item {
  /** The `id` that the command gave it. */
  id?: string;
  title: string;
  subtitle: string;
  accessories: string[];
  section?: string;
  selected: boolean;
  node: ScreenNode;
}

export interface ActionEntry {
  title: string;
  shortcut?: Shortcut;
  style?: string;
  section?: string;
  submenu?: string;
  node: ScreenNode;
}

export function matches(text: string, wanted: string | RegExp): boolean {
  return typeof wanted === "string" ? text === wanted : wanted.test(text);
}

export function itemsOf(screen: ScreenNode): Item[] {
  const sectioned = (node: ScreenNode, section?: string): Item[] => {
    if (/^(List|Grid)\.Item$/.test(node.type)) return [toItem(node, section)];
    const inner = /\.Section$/.test(node.type) ? words(node.props.title) : section;
    return node.children.flatMap((child) => sectioned(child, inner));
  };
  return sectioned(screen);
}

function toItem(node: ScreenNode, section?: string): Item {
  const { id, title, subtitle, accessories, isSelected } = node.props;
  return {
    ...(typeof id === "string" ? { id } : {}),
    title: words(title),
    subtitle: words(subtitle),
    accessories: Array.isArray(accessories) ? accessories.map(words).filter(Boolean) : [],
    section,
    selected: isSelected === true,
    node,
  };
}

/** The action panel that is open to a key press: of the selected item, of the empty view, or of the view. */
export function currentPanel(screen: ScreenNode): ScreenNode | undefined {
  const nodes = [...nodesOf(screen)];
  const item = nodes.find((node) => node.props.isSelected === true);
  const empty = nodes.find(({ type }) => type.endsWith(".EmptyView"));
  return (item && slot(item, "actions")) ?? (empty && slot(empty, "actions")) ?? slot(screen, "actions");
}

export function actionsOf(panel: ScreenNode | undefined): ActionEntry[] {
  const below = (node: ScreenNode, section?: string, submenu?: string): ActionEntry[] => {
    const { title, style } = node.props;
    if (/^Action(\.|$)/.test(node.type)) {
      const entry = { title: words(title), shortcut: shortcutOf(node.props.shortcut), section, submenu, node };
      return [typeof style === "string" ? { ...entry, style } : entry];
    }
    const inner = node.type.endsWith(".Section") ? words(title) || undefined : section;
    const menu = node.type.endsWith(".Submenu") ? words(title) : submenu;
    return node.children.flatMap((child) => below(child, inner, menu));
  };
  return panel ? below(panel) : [];
}

/** The shortcut of a Mac, also where one is given for each platform. */
export function shortcutOf(value: Json | ScreenNode | undefined): Shortcut | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const shortcut = ("macOS" in value ? value.macOS : value) as unknown as Partial<Shortcut>;
  return shortcut.key ? { modifiers: shortcut.modifiers ?? [], key: shortcut.key } : undefined;
}

/** A shortcut as one word, whatever the order of its modifiers: `cmd+shift+c`. */
export function keysOf({ modifiers, key }: Shortcut): string {
  return [...modifiers.map((name) => (name === "alt" ? "opt" : name)).sort(), key].join("+");
}
