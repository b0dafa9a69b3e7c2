import { matches } from "./look";
import type { Launch, Launcher, Told, ToastState } from "./protocol";
import type { ToastEntry } from "./record";
import type { RunnerProcess } from "./runner-process";
import type { ScreenNode } from "./screen";
import { screenText, toastText } from "./text";

export interface WaitOptions {
  /** Against hanging: 30 s unless told. */
  timeoutMs?: number;
}

/** Words on the screen, or a question about it. */
export type Expected = string | RegExp | ((screen: ScreenNode) => boolean);

/** Why a command no longer runs. */
export type Ending = "closed" | "replaced" | "hidden" | "done" | "unloaded" | "crashed";

export interface CommandOptions {
  process: RunnerProcess;
  launch: Launch;
  /** What a command asks of the launcher. */
  launcher: (command: RunningCommand) => { [Name in keyof Launcher]: (...args: Parameters<Launcher[Name]>) => unknown };
  /** Ends the command; its process with it, unless that is to run the next one. */
  finish: () => Promise<void>;
  onEnd: (command: RunningCommand, ending: Ending) => void;
}

/** How long something may take to be seen, in milliseconds, also on a busy computer. */
export const WAIT_MS = 60_000;

/** One launch of a command, from its start to its end. */
export class RunningCommand {
  /** A view: when it ended. A no-view command: when its function resolved. Rejects when it crashed. */
  readonly ended: Promise<void>;
  readonly huds: string[] = [];
  /** How often it was told what is on the screen. */
  renders = 0;
  protected readonly process: RunnerProcess;
  protected readonly launch: Launch;
  /** What is on top of the navigation stack: undefined before the first render, null where it shows nothing. */
  protected root?: ScreenNode | null;
  private visibleToast?: { id: number; entry: ToastEntry };
  private ending?: Ending;
  /** The host has taken note of its end too. */
  private isOver = false;
  private crashed?: Error;
  private settleEnd!: { resolve: () => void; reject: (error: Error) => void };
  private readonly watchers = new Set<() => void>();

  constructor(private readonly options: CommandOptions) {
    this.process = options.process;
    this.launch = options.launch;
    this.ended = new Promise((resolve, reject) => (this.settleEnd = { resolve, reject }));
    // Whoever waits for something else hears of a crash there.
    this.ended.catch(() => {});
  }

  get command(): string {
    return this.launch.environment.commandName;
  }

  get mode(): Launch["environment"]["commandMode"] {
    return this.launch.environment.commandMode;
  }

  get hasEnded(): boolean {
    return this.ending !== undefined;
  }

  /** Of the process that runs it. */
  get pid(): number | undefined {
    return this.process.pid;
  }

  /** What it wrote to stdout and stderr. */
  get output(): string {
    return this.process.output;
  }

  start(): void {
    this.process.listen({
      launcher: this.options.launcher(this),
      told: (told) => this.heard(told),
      exited: (how) => this.crash(`its process ${how}`),
    });
    this.process.call("start", this.launch).catch((error: Error) => this.crash(error.message));
  }

  /** The tree on top of the navigation stack, or what was there when the command ended. */
  screen(): ScreenNode {
    const screen = this.look();
    if (!screen) throw new Error(`${this.command} shows nothing.\n${this.text()}`);
    return screen;
  }

  /** The screen, the toast and the HUDs as readable lines. */
  text(): string {
    const screen = this.look();
    return [
      screen ? this.describe(screen) : "(nothing on the screen)",
      ...(this.visibleToast ? [toastText(this.visibleToast.entry)] : []),
      ...this.huds.map((hud) => `HUD ${hud}`),
      ...(this.ending ? [`(${this.ending})`] : []),
    ].join("\n");
  }

  isLoading(): boolean {
    return this.root === undefined || this.root?.props.isLoading === true;
  }

  toast(): ToastEntry | undefined {
    return this.visibleToast?.entry;
  }

  /** @throws with all that is on the screen, when it ends or the time is over before */
  async waitFor(expected: Expected, options?: WaitOptions): Promise<void> {
    const isThere = () => {
      if (typeof expected !== "function") {
        const text = this.text();
        return typeof expected === "string" ? text.includes(expected) : expected.test(text);
      }
      const screen = this.look();
      return screen !== undefined && expected(screen);
    };
    const what = typeof expected === "function" ? "what was expected of the screen" : String(expected);
    await this.until(isThere, what, options);
  }

  /** Waits until it has rendered once. */
  async rendered(options?: WaitOptions): Promise<void> {
    await this.until(() => this.root !== undefined || this.mode === "no-view", "the first render", options);
  }

  /** Ends it, and what it started and didn't detach. */
  async end(ending: Ending): Promise<void> {
    if (this.ending) return void (await this.ended.catch(() => {}));
    this.ending = ending;
    this.process.listen(undefined);
    await this.options.finish();
    this.options.onEnd(this, ending);
    this.isOver = true;
    if (this.crashed) this.settleEnd.reject(this.crashed);
    else this.settleEnd.resolve();
    this.changed();
  }

  /** Presses a button of the visible toast; `false` where it has none of that title. */
  async pressToast(title: string | RegExp): Promise<boolean> {
    const shown = this.visibleToast;
    for (const action of ["primaryAction", "secondaryAction"] as const) {
      const button = shown?.entry[action];
      if (!shown || !button || !matches(button.title, title)) continue;
      await this.process.call("pressToast", shown.id, action);
      await this.throwCrash();
      return true;
    }
    return false;
  }

  showToast(id: number, toast: ToastState): ToastEntry {
    const entry = { ...toast };
    this.visibleToast = { id, entry };
    this.changed();
    return entry;
  }

  /** An update carries no id to the screen: Raycast applies it to the toast that is visible. */
  updateToast(toast: ToastState): void {
    if (this.visibleToast) Object.assign(this.visibleToast.entry, toast);
    this.changed();
  }

  hideToast(id: number): void {
    if (this.visibleToast?.id === id) this.visibleToast = undefined;
    this.changed();
  }

  showHud(title: string): void {
    this.huds.push(title);
    this.changed();
  }

  /** What a person sees of `root`. */
  protected look(): ScreenNode | undefined {
    return this.root ?? undefined;
  }

  protected describe(screen: ScreenNode): string {
    return screenText(screen);
  }

  /** After each render. */
  protected renderedAgain(): void {}

  /** @throws with the crash, once all of its end is done */
  protected async throwCrash(): Promise<void> {
    if (this.crashed) await this.ended;
  }

  /** What falls on a screen that has just changed is done again, on what is there now. @param act whether it was done */
  protected async insist(act: () => Promise<boolean>): Promise<void> {
    for (const end = Date.now() + WAIT_MS; !(await act());) {
      if (Date.now() > end) throw new Error(`${this.command} renders anew under each press:\n${this.text()}`);
    }
  }

  protected async until(
    isThere: () => boolean,
    what: string,
    { timeoutMs = WAIT_MS }: WaitOptions = {},
  ): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const stop = (settle: () => void) => {
        clearTimeout(timer);
        this.watchers.delete(look);
        settle();
      };
      const look = () => {
        if (isThere()) stop(resolve);
        else if (this.isOver) {
          stop(() => reject(this.crashed ?? new Error(`${this.command} ended before ${what}:\n${this.text()}`)));
        }
      };
      const timer = setTimeout(() => {
        stop(() => reject(new Error(`${this.command}: waited ${timeoutMs} ms for ${what}:\n${this.text()}`)));
      }, timeoutMs);
      this.watchers.add(look);
      look();
    });
  }

  protected changed(): void {
    for (const look of [...this.watchers]) look();
  }

  private heard(told: Told): void {
    if (told.kind === "crash") return this.crash(told.message);
    if (told.kind === "done") return void this.end("done");
    this.root = told.root;
    this.renders++;
    this.renderedAgain();
    this.changed();
  }

  private crash(message: string): void {
    if (this.ending) return;
    const output = this.output.trim();
    this.crashed = new Error(`${this.command} crashed: ${message}${output ? `\nIt wrote:\n${output}` : ""}`);
    void this.end("crashed");
  }
}
