import { Keyboard } from "@raycast/api";

/** One key for one thing on every screen of Ask Model. */
export const SHORTCUTS = {
  stop: { modifiers: ["cmd"], key: "." },
  regenerate: Keyboard.Shortcut.Common.Refresh,
  edit: Keyboard.Shortcut.Common.Edit,
  previous: { modifiers: ["cmd"], key: "[" },
  next: { modifiers: ["cmd"], key: "]" },
  copyAnswer: Keyboard.Shortcut.Common.Copy,
  copyQuestion: Keyboard.Shortcut.Common.CopyName,
  copyConversation: { modifiers: ["cmd", "shift"], key: "a" },
  selection: { modifiers: ["cmd", "shift"], key: "t" },
  clipboard: { modifiers: ["cmd", "shift"], key: "v" },
  longQuestion: { modifiers: ["cmd"], key: "t" },
  new: Keyboard.Shortcut.Common.New,
  conversations: Keyboard.Shortcut.Common.Open,
  models: { modifiers: ["cmd"], key: "m" },
  save: Keyboard.Shortcut.Common.Save,
  remove: Keyboard.Shortcut.Common.Remove,
  removeAll: Keyboard.Shortcut.Common.RemoveAll,
} as const satisfies Record<string, Keyboard.Shortcut>;
