import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { CommandView } from "./command-view";
import { makeLauncher } from "./launcher";
import { argumentsOf, findCommand, type Manifest, preferencesOf, readManifest } from "./manifest";
import { type MenuBar } from "./menu-bar";
import { MenuCommand, OpenMenu } from "./menu-command";
import type { AlertState, ClipboardContent, CommandMode, Launch, LaunchType } from "./protocol";
import type { AlertEntry, HostEvent, OpenedEntry, ToastEntry } from "./record";
import { ResidentCommand } from "./resident";
import { RunnerProcess } from "./runner-process";
import { type CommandOptions, type Ending, RunningCommand, WAIT_MS, type WaitOptions } from "./running-command";
import { StorageFile } from "./storage";

export interface HostOptions {
  /** The folder that `ray build -o` wrote. */
  extension: string;
  /** The extension's support folder; a temporary one unless given. */
  support?: string;
  /** What the user set; the manifest's defaults are for the rest. */
  preferences?: Record<string, unknown>;
  /** On top of what Raycast gives to commands: its PATH, and HOME. Nothing of this process's environment. */
  env?: NodeJS.ProcessEnv;
  /** Files that the commands, and what they start, can neither read nor run. On Linux only. */
  hidden?: readonly string[];
  /** Answers alerts; yes unless told. */
  confirm?: (alert: AlertState) => boolean;
  /** Commands that the user switched off; those of the manifest that are off at first, unless told. */
  disabled?: readonly string[];
  /** Commands with an interval that the user never opened: they run in the background only once they were. */
  notActivated?: readonly string[];
}

export interface LaunchOptions {
  type?: LaunchType;
  arguments?: Record<string, string>;
  context?: Record<string, unknown>;
  fallbackText?: string;
}

const SCHEME = "raycast:";

/** Raycast's own: without the folders of Homebrew. */
const PATH = "/usr/bin:/bin:/usr/sbin:/sbin";
const { version } = createRequire(join(import.meta.dirname, "index.ts"))("@raycast/api/package.json") as {
  version: string;
};

/** A Raycast with one extension, which runs the built commands for real: each in a process of its own. */
export class RaycastHost {
  readonly huds: string[] = [];
  readonly toasts: ToastEntry[] = [];
  readonly alerts: AlertEntry[] = [];
  readonly opened: OpenedEntry[] = [];
  /** All that happened, in order. */
  readonly events: HostEvent[] = [];
  clipboard: ClipboardContent = {};
  /** What is selected in the app behind Raycast. */
  selectedText = "";
  readonly supportPath: string;
  /** Can be changed while the host is open. */
  readonly preferences: Record<string, unknown>;
  confirm: (alert: AlertState) => boolean;
  private readonly extension: string;
  private readonly manifest: Manifest;
  private readonly storage: StorageFile;
  private readonly env: NodeJS.ProcessEnv;
  private readonly hidden: readonly string[];
  private readonly disabled: ReadonlySet<string>;
  private readonly notActivated: Set<string>;
  private readonly temporary?: string;
  private readonly running = new Set<RunningCommand>();
  private readonly residents = new Set<ResidentCommand>();
  private readonly menuBars = new Map<string, MenuBar>();
  private currentWindow?: CommandView;
  private isClosed = false;

  private constructor(options: HostOptions) {
    this.extension = resolve(options.extension);
    this.manifest = readManifest(this.extension);
    this.temporary = options.support ? undefined : mkdtempSync(join(tmpdir(), "raycast-support-"));
    this.supportPath = resolve(options.support ?? this.temporary ?? "");
    mkdirSync(this.supportPath, { recursive: true });
    this.storage = new StorageFile(this.supportPath);
    this.preferences = { ...options.preferences };
    this.confirm = options.confirm ?? (() => true);
    this.hidden = options.hidden ?? [];
    this.env = { PATH, HOME: homedir(), NODE_ENV: "production", RAYCAST_SCHEME: "raycast", ...options.env };
    const off = this.manifest.commands.filter(({ disabledByDefault }) => disabledByDefault).map(({ name }) => name);
    this.disabled = new Set(options.disabled ?? off);
    this.notActivated = new Set(options.notActivated);
  }

  static async open(options: HostOptions): Promise<RaycastHost> {
    return Promise.resolve(new RaycastHost(options));
  }

  /** The view in Raycast's one window. */
  get window(): CommandView | undefined {
    return this.currentWindow;
  }

  /** Launches a command; resolves when it has rendered, or when a no-view command's function was called. */
  async launch(name: string, options: LaunchOptions = {}): Promise<CommandView> {
    this.expectMode(name, "view", "no-view");
    const command = (await this.start(name, options)) as CommandView;
    await command.rendered();
    return command;
  }

  /** What Raycast does at each interval of a menu-bar command. */
  async refresh(name: string, options?: WaitOptions): Promise<MenuBar> {
    this.expectMode(name, "menu-bar");
    const command = (await this.start(name, { type: "background" })) as MenuCommand;
    try {
      return await command.unloaded(options);
    } finally {
      await command.end("unloaded");
    }
  }

  /** What a menu-bar command last showed, whoever refreshed it. */
  menuBar(name: string): MenuBar | undefined {
    return this.menuBars.get(name);
  }

  /** Opens the menu of a menu-bar command: it is loaded anew, and stays while the menu is open. */
  async openMenu(name: string): Promise<OpenMenu> {
    this.expectMode(name, "menu-bar");
    const launch = this.prepare(name, {});
    const process = await this.startProcess();
    const menu = this.track(new OpenMenu(this.optionsOf(launch, process, () => process.kill())));
    menu.start();
    await menu.rendered();
    return menu;
  }

  /** One process for all loads of a menu-bar command, with reports of what they leave. */
  async resident(name: string): Promise<ResidentCommand> {
    this.expectMode(name, "menu-bar");
    const process = await this.startProcess({ exposeGc: true });
    const finish = async () => void (await process.call("unload"));
    const load = () => {
      const launch = this.prepare(name, { type: "background" });
      return this.track(new MenuCommand(this.optionsOf(launch, process, finish)));
    };
    const resident = new ResidentCommand(process, load);
    this.residents.add(resident);
    return resident;
  }

  isDeeplink(url: string): boolean {
    return url.startsWith(`${SCHEME}//extensions/`);
  }

  /** Opens `raycast://extensions/AUTHOR/EXTENSION/COMMAND`, with `arguments`, `context`, `launchType`, `fallbackText`. */
  async openDeeplink(url: string): Promise<RunningCommand> {
    const { protocol, host, pathname, searchParams } = new URL(url);
    const [author, extension, name = ""] = pathname.slice(1).split("/").map(decodeURIComponent);
    const owner = this.manifest.owner ?? this.manifest.author;
    if (protocol !== SCHEME || host !== "extensions" || author !== owner || extension !== this.manifest.name) {
      throw new Error(`No command of this extension is at ${url}`);
    }
    const json = (key: string): unknown => JSON.parse(searchParams.get(key) ?? "null");
    return this.start(name, {
      type: searchParams.get("launchType") === "background" ? "background" : "userInitiated",
      arguments: (json("arguments") as Record<string, string> | null) ?? undefined,
      context: (json("context") as Record<string, unknown> | null) ?? undefined,
      fallbackText: searchParams.get("fallbackText") ?? undefined,
    });
  }

  /** Waits for something that commands do to each other, such as `() => host.menuBar("menu-bar")?.title === "Online"`. */
  async waitFor(isThere: () => boolean, { timeoutMs = WAIT_MS }: WaitOptions = {}): Promise<void> {
    await new Promise<void>((done, reject) => {
      const look = () => {
        if (!isThere()) return;
        clearInterval(interval);
        clearTimeout(timer);
        done();
      };
      const interval = setInterval(look, 20);
      const timer = setTimeout(() => {
        clearInterval(interval);
        reject(new Error(`Waited ${timeoutMs} ms for ${isThere}:\n${JSON.stringify(this.events.slice(-20), null, 1)}`));
      }, timeoutMs);
      look();
    });
  }

  /** Starts a command, by whatever way. A view takes the window from the one that is there. */
  async start(name: string, options: LaunchOptions): Promise<RunningCommand> {
    const launch = this.prepare(name, options);
    const mode = launch.environment.commandMode;
    const process = await this.startProcess();
    const commandOptions = this.optionsOf(launch, process, () => process.kill());
    const command = this.track(mode === "menu-bar" ? new MenuCommand(commandOptions) : new CommandView(commandOptions));
    if (mode === "view") {
      const former = this.currentWindow;
      this.currentWindow = command as CommandView;
      await former?.end("replaced");
    }
    command.start();
    return command;
  }

  async close(): Promise<void> {
    this.isClosed = true;
    await Promise.all([...this.running].map((command) => command.end("closed")));
    await Promise.all([...this.residents].map((resident) => resident.close()));
    if (this.temporary) rmSync(this.temporary, { recursive: true, force: true });
  }

  private expectMode(name: string, ...modes: CommandMode[]): void {
    const { mode } = findCommand(this.manifest, name);
    if (!modes.includes(mode)) throw new Error(`"${name}" is a ${mode} command.`);
  }

  private async startProcess(options?: { exposeGc: boolean }): Promise<RunnerProcess> {
    const process = await RunnerProcess.start(this.env, this.hidden, options);
    if (!this.isClosed) return process;
    await process.kill();
    throw new Error("The host is closed.");
  }

  /** All that a launch needs, or why Raycast doesn't launch it. */
  private prepare(name: string, { type = "userInitiated", context, fallbackText, ...given }: LaunchOptions): Launch {
    const command = findCommand(this.manifest, name);
    if (this.disabled.has(name)) throw new Error(`The command "${name}" is disabled.`);
    if (type === "background") {
      if (command.mode === "view") throw new Error(`The view "${name}" can't run in the background.`);
      if (this.notActivated.has(name)) throw new Error(`The command "${name}" was never opened: it isn't active.`);
    } else this.notActivated.delete(name);
    return {
      file: join(this.extension, `${name}.js`),
      props: {
        launchType: type,
        arguments: argumentsOf(command, given.arguments ?? {}),
        launchContext: context && (JSON.parse(JSON.stringify(context)) as unknown),
        fallbackText,
      },
      preferences: preferencesOf(this.manifest, command, this.preferences),
      environment: {
        ...{ raycastVersion: version, isDevelopment: false, launchType: type },
        ...{ ownerOrAuthorName: this.manifest.owner ?? this.manifest.author, extensionName: this.manifest.name },
        ...{ commandName: name, commandMode: command.mode },
        ...{ assetsPath: join(this.extension, "assets"), supportPath: this.supportPath },
        ...{ appearance: "dark", theme: "dark", textSize: "medium" },
      },
    };
  }

  private optionsOf(launch: Launch, process: RunnerProcess, finish: () => Promise<void>): CommandOptions {
    return {
      ...{ launch, process, finish },
      launcher: (command) => makeLauncher(this, this.storage, command),
      onEnd: (command, ending) => this.ended(command, ending),
    };
  }

  private track<Command extends RunningCommand>(command: Command): Command {
    this.running.add(command);
    return command;
  }

  private ended(command: RunningCommand, ending: Ending): void {
    this.running.delete(command);
    if (this.currentWindow === command) this.currentWindow = undefined;
    if (ending === "crashed") this.events.push({ event: "crash", command: command.command, text: command.text() });
    else if (command instanceof MenuCommand) this.menuBars.set(command.command, command.menu());
  }
}
