import type { ClipboardContent, HideOptions, StoredValue } from "../protocol";
import { ask } from "./link";

/** Functions of @raycast/api that only ask the launcher, under the names by which the ready-made actions know them. */

export function copy(content: unknown, { concealed = false }: { concealed?: boolean } = {}): Promise<void> {
  return ask("writeClipboard", toContent(content), concealed);
}

export function paste(content: unknown): Promise<void> {
  return ask("paste", toContent(content));
}

export function openTarget(target: unknown, application?: unknown): Promise<void> {
  return ask("open", String(target), nameOf(application));
}

export function showInFinder(path: unknown): Promise<void> {
  return ask("showInFinder", String(path));
}

export function trash(paths: unknown): Promise<void> {
  return ask("trash", [paths].flat().map(String));
}

/** Closes the window, with a message where there is one. */
export function hide(message?: string, options?: HideOptions): Promise<void> {
  return message === undefined ? ask("closeMainWindow", options) : ask("showHud", message, options);
}

export const clipboard = {
  copy,
  paste,
  clear: () => copy(""),
  read: () => ask("readClipboard"),
  readText: async () => (await ask("readClipboard")).text,
};

export const localStorage = {
  getItem: async (key: string) => (await ask("storedItems"))[key],
  async setItem(key: string, value: StoredValue) {
    if (!["string", "number", "boolean"].includes(typeof value)) {
      throw new Error("LocalStorage holds strings, numbers and booleans only.");
    }
    await ask("storeItem", key, value);
  },
  removeItem: (key: string) => ask("removeStoredItem", key),
  allItems: () => ask("storedItems"),
  clear: () => ask("clearStoredItems"),
};

function toContent(content: unknown): ClipboardContent {
  if (typeof content !== "object" || content === null) return { text: String(content) };
  const { text, html, file } = content as Record<keyof ClipboardContent, unknown>;
  const text2 = (value: unknown) => (value === undefined ? undefined : String(value));
  return { text: text2(text), html: text2(html), file: text2(file) };
}

function nameOf(application: unknown): string | undefined {
  if (typeof application === "object" && application && "name" in application) return String(application.name);
  return application === undefined ? undefined : String(application);
}
