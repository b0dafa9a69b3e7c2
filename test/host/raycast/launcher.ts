import { CommandView } from "./command-view";
import type { RaycastHost } from "./host";
import type { HideOptions, Launcher } from "./protocol";
import type { RunningCommand } from "./running-command";
import type { Json } from "./screen";
import type { StorageFile } from "./storage";

type Answers = { [Name in keyof Launcher]: (...args: Parameters<Launcher[Name]>) => unknown };

/** What Raycast does when a command asks for it, and what of it a test can look at afterwards. */
export function makeLauncher(host: RaycastHost, storage: StorageFile, command: RunningCommand): Answers {
  const note = (event: string, fields: Record<string, Json | undefined> = {}) => {
    host.events.push({ event, command: command.command, ...fields });
  };
  // A view lives as long as its window. Other commands have none.
  const hide = async ({ popToRootType }: HideOptions = {}) => {
    if (command.mode === "view" && popToRootType !== "suspended") await command.end("hidden");
  };
  const change = (change: (items: ReturnType<StorageFile["read"]>) => void) => {
    const items = storage.read();
    change(items);
    storage.write(items);
  };
  return {
    showToast(id, toast) {
      host.toasts.push(command.showToast(id, toast));
      note("toast", { style: toast.style, title: toast.title, message: toast.message });
    },
    updateToast(_id, toast) {
      command.updateToast(toast);
      note("toast", { style: toast.style, title: toast.title, message: toast.message });
    },
    hideToast(id) {
      command.hideToast(id);
      note("toast-hidden");
    },
    async showHud(title, options) {
      host.huds.push(title);
      command.showHud(title);
      note("hud", { title });
      await hide(options);
    },
    confirmAlert(alert) {
      const confirmed = host.confirm(alert);
      host.alerts.push({ ...alert, confirmed });
      note("alert", { title: alert.title, message: alert.message, confirmed });
      return confirmed;
    },
    async closeMainWindow(options) {
      note("close-window");
      await hide(options);
    },
    async popToRoot() {
      note("pop-to-root");
      await hide();
    },
    clearSearchBar: async () => (command instanceof CommandView ? command.search("") : undefined),
    readClipboard: () => host.clipboard,
    readSelectedText() {
      if (host.selectedText === "") throw new Error("Unable to get selected text from frontmost application");
      return host.selectedText;
    },
    writeClipboard(content, concealed) {
      host.clipboard = content;
      note("copy", { ...content, ...(concealed ? { concealed } : {}) });
    },
    paste: (content) => note("paste", { ...content }),
    async open(target, application) {
      host.opened.push({ target, application });
      note("open", { target, application });
      if (host.isDeeplink(target)) await host.openDeeplink(target);
    },
    showInFinder: (path) => note("show-in-finder", { path }),
    trash: (paths) => note("trash", { paths }),
    openPreferences: (of) => note(`open-${of}-preferences`),
    updateCommandMetadata: ({ subtitle }) => note("metadata", { subtitle }),
    async launchCommand({ name, type, arguments: given, context, fallbackText, extensionName }) {
      note("launch", { name, type, arguments: given as Json | undefined, context: context as Json | undefined });
      if (extensionName) throw new Error("Commands of other extensions: not in the test host");
      await host.start(name, {
        ...{ type, arguments: given ?? undefined, fallbackText: fallbackText ?? undefined },
        context: (context ?? undefined) as Record<string, unknown> | undefined,
      });
    },
    captureException: (message) => note("exception", { message }),
    resetField: (id) => (command instanceof CommandView ? command.resetField(id) : undefined),
    storedItems: () => storage.read(),
    storeItem: (key, value) => change((items) => (items[key] = value)),
    removeStoredItem: (key) => change((items) => delete items[key]),
    clearStoredItems: () => storage.write({}),
  };
}
