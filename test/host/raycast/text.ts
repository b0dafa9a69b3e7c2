import { actionsOf, currentPanel, keysOf, shortcutOf } from "./look";
import type { ToastState } from "./protocol";
import { type Json, nodesOf, type ScreenNode, slot, words } from "./screen";

/** What is on the screen as lines a person can read, for assertions and for messages of failed ones. */
export function screenText(screen: ScreenNode): string {
  const panel = actionsOf(currentPanel(screen));
  const actions = panel.map(({ title, shortcut, submenu }, at) =>
    [submenu && `${submenu} >`, title, shortcut ? `[${keysOf(shortcut)}]` : primaryKey(screen, at)]
      .filter(Boolean)
      .join(" "),
  );
  return joined([...lines(screen, ""), actions.length > 0 && `Actions: ${actions.join(" · ")}`]);
}

function primaryKey(screen: ScreenNode, at: number): string {
  const keys = screen.type === "Form" ? ["[cmd+enter]"] : ["[enter]", "[cmd+enter]"];
  return keys[at] ?? "";
}

export function toastText({ style, title, message, primaryAction, secondaryAction }: ToastState): string {
  const buttons = [primaryAction, secondaryAction].flatMap((action) => (action ? `(${action.title})` : []));
  return ["Toast", style.toLowerCase(), [title, message].filter(Boolean).join(": "), ...buttons].join(" ");
}

/** A menu-bar command: what is in the bar, then the menu. */
export function menuText(screen: ScreenNode): string {
  return joined(lines(screen, ""));
}

function joined(parts: (string | false | undefined)[]): string {
  return parts.filter(Boolean).join("\n");
}

function lines(node: ScreenNode, pad: string): string[] {
  const { title, subtitle, text, isLoading, description, shortcut } = node.props;
  const below = (indent = `${pad}  `) => node.children.flatMap((child) => lines(child, indent));
  const inSlot = (name: string) => {
    const inner = slot(node, name);
    return inner ? lines(inner, `${pad}  `) : [];
  };
  const line = (...parts: (string | false | undefined)[]) => [pad + parts.filter(Boolean).join(" ")];
  const named = [words(title), words(subtitle)].filter(Boolean).join(" · ");
  const keys = shortcutOf(shortcut);
  const kind = node.type.split(".").at(-1);
  switch (node.type) {
    case "List":
    case "Grid":
    case "Form":
    case "Detail":
      return [
        ...line(node.type, words(node.props.navigationTitle), quoted(node.props), isLoading === true && "(loading)"),
        ...inSlot("searchBarAccessory"),
        ...markdown(node, pad),
        ...inSlot("metadata"),
        ...below(),
      ];
    case "MenuBarExtra":
      return [...line("Menu bar:", words(title), tooltip(node), isLoading === true && "(loading)"), ...below()];
    case "MenuBarExtra.Item":
      return [
        ...line(named, keys && `[${keysOf(keys)}]`, !node.handlers.includes("onAction") && "(can't be clicked)"),
        ...inSlot("alternate").map((one) => one.replace(/^(\s*)/, "$1or: ")),
      ];
    case "MenuBarExtra.Section":
      return [...(title ? line("--", words(title)) : []), ...below(title ? `${pad}  ` : pad)];
    case "List.Item":
    case "Grid.Item": {
      const selected = node.props.isSelected === true;
      const { accessories } = node.props;
      const shown = Array.isArray(accessories) ? accessories.map((one) => `(${words(one)})`) : [];
      return [
        ...line(selected ? ">" : "-", named, ...shown.filter((one) => one !== "()")),
        ...(selected ? inSlot("detail") : []),
      ];
    }
    case "List.Item.Detail":
      return [...line("Detail", isLoading === true && "(loading)"), ...markdown(node, pad), ...inSlot("metadata")];
    case "Form.Description":
      return line([words(title), words(text)].filter(Boolean).join(": "));
  }
  if (kind === "Separator") return line("---");
  if (kind === "EmptyView") return line("Empty:", [words(title), words(description)].filter(Boolean).join(" — "));
  if (kind === "Dropdown" && node.type !== "Form.Dropdown") {
    const options = [...nodesOf(node)].filter(({ type }) => type.endsWith(".Dropdown.Item"));
    const chosen = options.find(({ props }) => props.value === node.props.value) ?? options[0];
    return line(
      "Dropdown:",
      words(chosen?.props.title),
      `of ${options.map(({ props }) => words(props.title)).join(", ")}`,
    );
  }
  if (node.type.startsWith("Form.")) return field(node, line);
  if (kind === "TagList")
    return line(`${words(title)}:`, node.children.map(({ props }) => words(props.text)).join(", "));
  if (kind === "Label" || kind === "Link") return line(`${words(title)}:`, words(text));
  const head = named ? line(kind === "Section" && "--", named) : [];
  return [...head, ...below(kind === "Submenu" ? `${pad}  ` : pad)];
}

function field({ props, type, children }: ScreenNode, line: (...parts: string[]) => string[]): string[] {
  const { title, label, value, error, info } = props;
  const options = children.flatMap((child) => [...nodesOf(child)]).filter((one) => one.type.endsWith(".Item"));
  const chosen = options
    .filter((one) => [value].flat().includes(one.props.value ?? ""))
    .map((one) => words(one.props.title));
  const shown = type === "Form.PasswordField" ? "*".repeat(words(value).length) : words(value);
  return line(
    `${[words(title), words(label)].filter(Boolean).join(" ")}:`,
    typeof value === "boolean" ? (value ? "[x]" : "[ ]") : chosen.join(", ") || shown || placeholder(props),
    error ? `(error: ${words(error)})` : "",
    info ? `(info: ${words(info)})` : "",
  ).map((text) => text.trimEnd());
}

function placeholder(props: ScreenNode["props"]): string {
  return props.placeholder ? `"${words(props.placeholder)}"` : "";
}

function quoted({ searchText, searchBarPlaceholder }: ScreenNode["props"]): string {
  return searchText ? `search: ${words(searchText)}` : searchBarPlaceholder ? `"${words(searchBarPlaceholder)}"` : "";
}

function tooltip({ props }: ScreenNode): string {
  return props.tooltip ? `(${words(props.tooltip)})` : "";
}

function markdown({ props }: ScreenNode, pad: string): string[] {
  const text: Json | ScreenNode | undefined = props.markdown;
  return typeof text === "string" && text ? text.split("\n").map((one) => `${pad}  ${one}`) : [];
}
