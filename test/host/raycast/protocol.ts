import type { ScreenNode } from "./screen";

/** The two halves of the host: the launcher (in the test) and the runner (the process of one command) over Node's IPC. */

export type CommandMode = "view" | "no-view" | "menu-bar";
export type LaunchType = "userInitiated" | "background";

/** All that a runner needs to run a command once. */
export interface Launch {
  /** The built bundle. */
  file: string;
  props: {
    launchType: LaunchType;
    arguments: Record<string, string>;
    launchContext?: unknown;
    fallbackText?: string;
  };
  preferences: Record<string, unknown>;
  /** `environment` of @raycast/api, without its function. */
  environment: {
    raycastVersion: string;
    ownerOrAuthorName: string;
    extensionName: string;
    commandName: string;
    commandMode: CommandMode;
    assetsPath: string;
    supportPath: string;
    isDevelopment: boolean;
    appearance: "light" | "dark";
    theme: "light" | "dark";
    textSize: "medium" | "large";
    launchType: LaunchType;
  };
}

export interface Shortcut {
  modifiers: string[];
  key: string;
}

export interface ToastAction {
  title: string;
  shortcut?: Shortcut;
}

export interface ToastState {
  style: "SUCCESS" | "FAILURE" | "ANIMATED";
  title: string;
  message?: string;
  primaryAction?: ToastAction;
  secondaryAction?: ToastAction;
}

export interface AlertState {
  title: string;
  message?: string;
  primaryAction?: { title: string; style?: string };
  dismissAction?: { title: string; style?: string };
}

export interface ClipboardContent {
  text?: string;
  html?: string;
  file?: string;
}

export interface HideOptions {
  clearRootSearch?: boolean;
  popToRootType?: "default" | "immediate" | "suspended";
}

export interface LaunchRequest {
  name: string;
  type: LaunchType;
  arguments?: Record<string, string> | null;
  context?: unknown;
  fallbackText?: string | null;
  /** Only of a launch into another extension. */
  extensionName?: string;
}

export type StoredValue = string | number | boolean;

/** What a command asks of the launcher. What throws there rejects here, with its message. */
export interface Launcher {
  showToast(id: number, toast: ToastState): void;
  updateToast(id: number, toast: ToastState): void;
  hideToast(id: number): void;
  showHud(title: string, options?: HideOptions): void;
  confirmAlert(alert: AlertState): boolean;
  closeMainWindow(options?: HideOptions): void;
  popToRoot(options?: { clearSearchBar?: boolean }): void;
  clearSearchBar(): void;
  readClipboard(): ClipboardContent;
  readSelectedText(): string;
  writeClipboard(content: ClipboardContent, concealed: boolean): void;
  paste(content: ClipboardContent): void;
  open(target: string, application?: string): void;
  showInFinder(path: string): void;
  trash(paths: string[]): void;
  openPreferences(of: "extension" | "command"): void;
  updateCommandMetadata(metadata: { subtitle?: string | null }): void;
  launchCommand(request: LaunchRequest): void;
  captureException(message: string): void;
  resetField(id: string): void;
  storedItems(): Record<string, StoredValue>;
  storeItem(key: string, value: StoredValue): void;
  removeStoredItem(key: string): void;
  clearStoredItems(): void;
}

export type LauncherCall = {
  [Name in keyof Launcher]: { kind: "call"; id: number; name: Name; args: Parameters<Launcher[Name]> };
}[keyof Launcher];

/** What the launcher asks of a runner. */
export interface Runner {
  start(launch: Launch): void;
  /**
   * Calls a handler of a node. Answers when the handler is done; one that takes longer goes on, unless `toItsEnd`.
   * `false`: the node is no longer on the screen.
   */
  invoke(node: number, handler: string, args: unknown[], toItsEnd?: boolean): boolean;
  pressToast(id: number, action: "primaryAction" | "secondaryAction"): boolean;
  /** Leaves the top of the navigation stack; `false` when it is the only one. */
  pop(): boolean;
  /** Ends the command and keeps the process, for the next start. */
  unload(): void;
  report(): ResidentReport;
}

export type RunnerCall = {
  [Name in keyof Runner]: { kind: "call"; id: number; name: Name; args: Parameters<Runner[Name]> };
}[keyof Runner];

export type Answer = { kind: "answer"; id: number; value?: unknown; error?: string };

/** What a runner tells unasked. */
export type Told =
  /** The top of the navigation stack after a render; null where the command rendered nothing. */
  | { kind: "screen"; root: ScreenNode | null; depth: number }
  /** A no-view command's function resolved. */
  | { kind: "done" }
  | { kind: "crash"; message: string };

export interface ResidentReport {
  /** Bytes, after a full collection of garbage. */
  heapUsed: number;
  /** What keeps the process alive, by kind and count. */
  activeResources: Record<string, number>;
  /** Processes ever spawned by it. */
  childProcesses: number;
}
