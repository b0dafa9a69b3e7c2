import { words, type ScreenNode } from "../../test/host/raycast";
import { shortcutOf } from "../../test/host/raycast/look";
import { html, type Html } from "./html";
import { lucideIcon } from "./icons";
import { image, type Look } from "./image";

/** The signs that macOS' menus write for keys. */
const SIGNS: Record<string, string> = { cmd: "⌘", shift: "⇧", opt: "⌥", ctrl: "⌃" };

/** "Mon 9:41 AM" */
const CLOCK = { weekday: "short", hour: "numeric", minute: "2-digit" } as const;

/** A menu-bar command: its item in the menu bar, and its menu below. */
export function menuBar(screen: ScreenNode, look: Look): Html {
  return html`<div class="menu-bar">
    <span class="status">
      ${image(screen.props.icon, { ...look, theme: "dark" })}${words(screen.props.title)}
      <div class="menu">${screen.children.map((child) => entry(child, look))}</div>
    </span>
    <i class="image">${lucideIcon("wifi")}</i><i class="image">${lucideIcon("battery-full")}</i>
    <span>${look.taken.toLocaleString("en-US", CLOCK)}</span>
  </div>`;
}

function entry(node: ScreenNode, look: Look): Html {
  if (node.type.endsWith(".Separator")) return html`<hr />`;
  if (node.type.endsWith(".Section")) {
    if (node.children.length === 0) return html``;
    const title = words(node.props.title);
    return html`<div class="group">
      ${title !== "" && html`<div class="section">${title}</div>`}${node.children.map((child) => entry(child, look))}
    </div>`;
  }
  const submenu = node.type.endsWith(".Submenu");
  const enabled = submenu || node.handlers.includes("onAction");
  const { modifiers = [], key = "" } = shortcutOf(node.props.shortcut) ?? {};
  const keys = [...modifiers, key].map((each) => SIGNS[each] ?? each.toUpperCase());
  return html`<div class="entry ${!enabled && "disabled"}">
    ${image(node.props.icon, look)}<span>${words(node.props.title)}</span>
    <span class="subtitle">${words(node.props.subtitle)}</span>
    <span class="right">${submenu ? lucideIcon("chevron-right") : keys.join("")}</span>
  </div>`;
}
