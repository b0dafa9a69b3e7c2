import { Keyboard } from "@raycast/api";

/** One key for one thing on every screen of Share GPU. */
export const SHORTCUTS = {
  refresh: Keyboard.Shortcut.Common.Refresh,
  copy: Keyboard.Shortcut.Common.Copy,
  stop: Keyboard.Shortcut.Common.Remove,
  stopNow: Keyboard.Shortcut.Common.RemoveAll,
  log: { modifiers: ["cmd"], key: "l" },
  guide: { modifiers: ["cmd"], key: "g" },
  details: { modifiers: ["cmd"], key: "d" },
} as const satisfies Record<string, Keyboard.Shortcut>;
