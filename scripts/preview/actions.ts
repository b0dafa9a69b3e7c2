import { words, type ScreenNode } from "../../test/host/raycast";
import { shortcutOf } from "../../test/host/raycast/look";
import { html, type Html } from "./html";
import { lucideIcon } from "./icons";
import { image, type Look } from "./image";

/** The icons that Raycast gives to actions without one. */
const ICONS: Record<string, string> = {
  "Action.CopyToClipboard": "copy-clipboard-16",
  "Action.OpenInBrowser": "globe-01-16",
  "Action.Open": "blank-document-16",
  "Action.ShowInFinder": "folder-16",
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

/** The actions of a panel in order, of all its sections. */
function actionsOf(panel: ScreenNode): ScreenNode[] {
  return panel.children.flatMap((child) => (child.type === "ActionPanel.Section" ? actionsOf(child) : [child]));
}

/** The keys of the first actions of a screen: Enter itself belongs to the fields of a form. */
export function primaryKeys({ type }: ScreenNode): string[][] {
  return type === "Form" ? [["cmd", "return"]] : [["return"], ["cmd", "return"]];
}

/** What the first of these keys does on a panel. */
export function primaryTitle(panel: ScreenNode): string {
  const [first] = actionsOf(panel);
  return words(first?.props.title);
}

/** The open action panel of a screen. */
export function actionPanel(screen: ScreenNode, panel: ScreenNode, look: Look): Html {
  const all = actionsOf(panel);
  const row = (action: ScreenNode): Html => {
    const place = all.indexOf(action);
    const shortcut = shortcutOf(action.props.shortcut);
    const keys = primaryKeys(screen)[place] ?? (shortcut ? [...shortcut.modifiers, shortcut.key] : []);
    const destructive = action.props.style === "destructive";
    return html`<div class="item ${place === 0 && "selected"} ${destructive && "destructive"}">
      ${image(action.props.icon ?? ICONS[action.type], look)}<b>${words(action.props.title)}</b>
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
