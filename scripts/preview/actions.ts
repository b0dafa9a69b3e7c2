import { nodesOf, slot, words, type Json, type ScreenNode } from "../../test/host/raycast";
import { html, type Html } from "./html";
import { lucideIcon } from "./icons";
import { field, image, type Look } from "./image";

/** What Raycast shows of actions that say nothing themselves. */
const DEFAULTS: Record<string, { title: string; icon: string }> = {
  "Action.CopyToClipboard": { title: "Copy to Clipboard", icon: "copy-clipboard-16" },
  "Action.OpenInBrowser": { title: "Open in Browser", icon: "globe-01-16" },
  "Action.Open": { title: "Open", icon: "blank-document-16" },
  "Action.ShowInFinder": { title: "Show in Finder", icon: "folder-16" },
  "Action.Paste": { title: "Paste in Active App", icon: "copy-clipboard-16" },
  "Action.SubmitForm": { title: "Submit Form", icon: "" },
};

/** Lucide's names of the keys that have a sign of their own. */
const SIGNS: Record<string, string> = {
  cmd: "command",
  shift: "arrow-big-up",
  opt: "option",
  ctrl: "chevron-up",
  return: "corner-down-left",
  enter: "corner-down-left",
  backspace: "delete",
  delete: "delete",
  arrowUp: "arrow-up",
  arrowDown: "arrow-down",
  arrowLeft: "arrow-left",
  arrowRight: "arrow-right",
};

/** Caps with the signs of keys. */
export function keycaps(...keys: string[]): Html {
  return html`<span class="keys"
    >${keys.map((key) => html`<kbd>${(SIGNS[key] && lucideIcon(SIGNS[key])) || key.toUpperCase()}</kbd>`)}</span
  >`;
}

/** The keys of a shortcut: the one for macOS where it has one for each system. */
export function shortcutKeys(shortcut: Json | ScreenNode | undefined): string[] {
  const own = field(shortcut, "macOS") ?? shortcut;
  const [modifiers, key] = [field(own, "modifiers"), field(own, "key")];
  return [...(Array.isArray(modifiers) ? modifiers : []), key].filter((each) => typeof each === "string");
}

/** The actions that a screen offers now: the selected item's, the empty view's, or the screen's own. */
export function actionPanelOf(screen: ScreenNode, selected: ScreenNode | undefined): ScreenNode | undefined {
  if (selected) return slot(selected, "actions") ?? slot(screen, "actions");
  const empty = [...nodesOf(screen)].find(({ type }) => type.endsWith(".EmptyView"));
  return (empty && slot(empty, "actions")) ?? slot(screen, "actions");
}

/** The actions of a panel in order, of all its sections. */
function actionsOf(panel: ScreenNode): ScreenNode[] {
  return panel.children.flatMap((child) => (child.type === "ActionPanel.Section" ? actionsOf(child) : [child]));
}

/** What Enter does on this panel. */
export function primaryTitle(panel: ScreenNode): string {
  const [first] = actionsOf(panel);
  return first ? title(first) : "";
}

/** The open action panel. */
export function actionPanel(panel: ScreenNode, look: Look): Html {
  const all = actionsOf(panel);
  const row = (action: ScreenNode): Html => {
    const place = all.indexOf(action);
    const keys = [["return"], ["cmd", "return"]][place] ?? shortcutKeys(action.props.shortcut);
    const destructive = action.props.style === "destructive";
    return html`<div class="item ${place === 0 && "selected"} ${destructive && "destructive"}">
      ${image(action.props.icon ?? DEFAULTS[action.type]?.icon, look)}<b>${title(action)}</b>
      <span class="right">
        ${action.type === "ActionPanel.Submenu" ? lucideIcon("chevron-right") : keys.length > 0 && keycaps(...keys)}
      </span>
    </div>`;
  };
  const rows = panel.children.map((child) =>
    child.type === "ActionPanel.Section"
      ? html`<div class="group">
          ${words(child.props.title) !== "" && html`<div class="section">${words(child.props.title)}</div>`}
          ${child.children.map(row)}
        </div>`
      : row(child),
  );
  return html`<div class="panel">
    <div class="actions">${rows}</div>
    <div class="find">Search for actions…</div>
  </div>`;
}

function title(action: ScreenNode): string {
  return words(action.props.title) || (DEFAULTS[action.type]?.title ?? "");
}
