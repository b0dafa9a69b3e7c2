import { Clipboard, getSelectedText, showToast, Toast } from "@raycast/api";

/** Text that a question is about. */
export interface ContextText {
  title: string;
  text: string;
}

/** An app that doesn't answer must not leave a person waiting. */
const LIMIT_MS = 3_000;

/** What is selected in the app behind the launcher; says so and gives nothing where nothing is. */
export async function selectedText(): Promise<ContextText | undefined> {
  const limit = new Promise<string>((resolve) => setTimeout(() => resolve(""), LIMIT_MS).unref());
  const text = await Promise.race([getSelectedText().catch(() => ""), limit]);
  if (text.trim() !== "") return { title: "Selected Text", text };
  await explain("Nothing Is Selected", "Select text in an app, then open Ask Model again.");
  return undefined;
}

/** The clipboard's text; says so and gives nothing where it has none. */
export async function clipboardText(): Promise<ContextText | undefined> {
  const text = (await Clipboard.readText()) ?? "";
  if (text.trim() !== "") return { title: "Clipboard", text };
  await explain("The Clipboard Has No Text", "Copy some text, then try again.");
  return undefined;
}

async function explain(title: string, message: string): Promise<void> {
  await showToast({ style: Toast.Style.Failure, title, message });
}
