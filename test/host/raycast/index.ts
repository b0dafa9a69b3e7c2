import type { Json, ScreenNode } from "./screen";

export { nodesOf, slot, words, type Json, type ScreenNode } from "./screen";

export interface HostOptions {
  extension: string;
  support?: string;
  preferences?: Record<string, unknown>;
  env?: NodeJS.ProcessEnv;
  confirm?: (alert: AlertEntry) => boolean;
  disabled?: string[];
  notActivated?: string[];
}
export interface LaunchOptions {
  type?: "userInitiated" | "background";
  arguments?: Record<string, string>;
  context?: Record<string, unknown>;
  fallbackText?: string;
}
export interface Item {
  id?: string;
  title: string;
  subtitle: string;
  accessories: string[];
  section?: string;
  selected: boolean;
  node: ScreenNode;
}
export interface Shortcut {
  modifiers: string[];
  key: string;
}
export interface ActionEntry {
  title: string;
  shortcut?: Shortcut;
  style?: string;
  section?: string;
  submenu?: string;
  node: ScreenNode;
}
export interface ToastEntry {
  style: "SUCCESS" | "FAILURE" | "ANIMATED";
  title: string;
  message?: string;
  primaryAction?: { title: string; shortcut?: Shortcut };
  secondaryAction?: { title: string; shortcut?: Shortcut };
}
export interface AlertEntry {
  title: string;
  message?: string;
  primaryAction?: { title: string; style?: string };
  dismissAction?: { title: string; style?: string };
  confirmed: boolean;
}
export interface HostEvent {
  event: string;
  command?: string;
  [field: string]: Json | undefined;
}
export interface WaitOptions {
  timeoutMs?: number;
}
export type Expected = string | RegExp | ((screen: ScreenNode) => boolean);

export declare class CommandView {
  readonly command: string;
  /** View: when it ended. No-view: when its function resolved; rejects when that failed. */
  readonly ended: Promise<void>;
  screen(): ScreenNode;
  text(): string;
  isLoading(): boolean;
  items(): Item[];
  actions(of?: string | RegExp): ActionEntry[];
  toast(): ToastEntry | undefined;
  waitFor(expected: Expected, options?: WaitOptions): Promise<void>;
  run(action: string | RegExp, options?: { item?: string | RegExp } & WaitOptions): Promise<void>;
  press(key: Shortcut | "enter" | "cmd+enter" | "escape"): Promise<void>;
  select(item: string | RegExp): Promise<void>;
  search(text: string): Promise<void>;
  /** Chooses in the dropdown of the search bar, by title or value. */
  choose(option: string): Promise<void>;
  type(field: string, value: unknown): Promise<void>;
  submit(): Promise<void>;
  back(): Promise<void>;
  closeWindow(): Promise<void>;
}
export interface MenuEntry {
  title: string;
  subtitle: string;
  section?: string;
  submenu?: string;
  /** Whether it can be clicked. */
  enabled: boolean;
  shortcut?: Shortcut;
  alternate?: MenuEntry;
  node: ScreenNode;
}
export interface MenuBar {
  /** False where the command rendered null. */
  shown: boolean;
  title: string;
  tooltip: string;
  icon?: Json;
  items: MenuEntry[];
  screen?: ScreenNode;
  text: string;
}
export declare class OpenMenu {
  readonly ended: Promise<void>;
  menu(): MenuBar;
  text(): string;
  waitFor(expected: Expected, options?: WaitOptions): Promise<void>;
  /** Clicks; resolves when the command unloaded, as the menu closes. */
  click(
    title: string | RegExp,
    options?: { alternate?: boolean; button?: "left-click" | "right-click" },
  ): Promise<void>;
  close(): Promise<void>;
}
export interface ResidentReport {
  heapUsed: number;
  activeResources: Record<string, number>;
  childProcesses: number;
}
export declare class ResidentCommand {
  refresh(options?: WaitOptions): Promise<MenuBar>;
  report(): Promise<ResidentReport>;
  close(): Promise<void>;
}
export declare class RaycastHost {
  static open(options: HostOptions): Promise<RaycastHost>;
  readonly supportPath: string;
  readonly huds: string[];
  readonly toasts: ToastEntry[];
  readonly alerts: AlertEntry[];
  readonly opened: { target: string; application?: string }[];
  readonly events: HostEvent[];
  clipboard: { text?: string; html?: string; file?: string };
  launch(command: string, options?: LaunchOptions): Promise<CommandView>;
  refresh(command: string, options?: WaitOptions): Promise<MenuBar>;
  /** What a menu-bar command last showed, whoever refreshed it. */
  menuBar(command: string): MenuBar | undefined;
  openMenu(command: string): Promise<OpenMenu>;
  resident(command: string): Promise<ResidentCommand>;
  openDeeplink(url: string): Promise<CommandView>;
  close(): Promise<void>;
}
