import type { Shortcut } from "../protocol";

const shortcut = (key: string, ...modifiers: string[]): Shortcut => ({ modifiers, key });

/** `Keyboard.Shortcut.Common` on macOS, as the rule prefer-common-shortcut of @raycast/eslint-plugin lists them. */
export const COMMON_SHORTCUTS: Record<string, Shortcut> = {
  Copy: shortcut("c", "cmd", "shift"),
  CopyDeeplink: shortcut("c", "cmd", "shift"),
  CopyName: shortcut("c", "cmd", "opt"),
  CopyPath: shortcut("c", "cmd", "ctrl"),
  Save: shortcut("s", "cmd"),
  Duplicate: shortcut("s", "cmd", "shift"),
  Edit: shortcut("e", "cmd"),
  MoveDown: shortcut("arrowDown", "cmd", "shift"),
  MoveUp: shortcut("arrowUp", "cmd", "shift"),
  New: shortcut("n", "cmd"),
  Open: shortcut("o", "cmd"),
  OpenWith: shortcut("o", "cmd", "shift"),
  Pin: shortcut(".", "cmd"),
  Refresh: shortcut("r", "cmd"),
  Remove: shortcut("d", "ctrl"),
  RemoveAll: shortcut("d", "ctrl", "shift"),
  ToggleQuickLook: shortcut("y", "cmd"),
};
