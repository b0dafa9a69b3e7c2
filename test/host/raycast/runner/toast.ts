import type { LaunchType, Shortcut, ToastAction, ToastState } from "../protocol";
import { ask } from "./link";

interface ActionOptions {
  title: string;
  shortcut?: Shortcut;
  onAction?: (toast: unknown) => void;
}

interface ToastOptions {
  style?: ToastState["style"];
  title: string;
  message?: string;
  primaryAction?: ActionOptions;
  secondaryAction?: ActionOptions;
}

/** The toasts of one command. */
export class ToastShelf {
  private readonly shown = new Map<number, ToastOptions>();
  private lastId = 0;

  constructor(private readonly launchType: LaunchType) {}

  /** The handler of a toast's button. */
  press(id: number, action: "primaryAction" | "secondaryAction"): () => unknown {
    return () => this.shown.get(id)?.[action]?.onAction?.(this.shown.get(id));
  }

  /** `Toast` of @raycast/api. */
  makeClass(styles: Record<string, unknown>): new (options: ToastOptions) => ToastOptions & { show(): Promise<void> } {
    const { shown, launchType } = this;
    const nextId = () => ++this.lastId;
    class Toast implements ToastOptions {
      static readonly Style = styles;
      private readonly id = nextId();
      private options: ToastOptions;

      constructor(options: ToastOptions) {
        this.options = { ...options };
      }

      async show(): Promise<void> {
        if (launchType === "background") throw new Error("Toasts can't be shown by a command in the background.");
        shown.set(this.id, this);
        await ask("showToast", this.id, stateOf(this.options));
      }

      async hide(): Promise<void> {
        await ask("hideToast", this.id);
      }

      private set(change: Partial<ToastOptions>): void {
        this.options = { ...this.options, ...change };
        if (shown.has(this.id)) void ask("updateToast", this.id, stateOf(this.options));
      }

      get style() {
        return this.options.style;
      }
      set style(style) {
        this.set({ style });
      }
      get title() {
        return this.options.title;
      }
      set title(title) {
        this.set({ title });
      }
      get message() {
        return this.options.message;
      }
      set message(message) {
        this.set({ message });
      }
      get primaryAction() {
        return this.options.primaryAction;
      }
      set primaryAction(primaryAction) {
        this.set({ primaryAction });
      }
      get secondaryAction() {
        return this.options.secondaryAction;
      }
      set secondaryAction(secondaryAction) {
        this.set({ secondaryAction });
      }
    }
    return Toast;
  }
}

function stateOf({ style = "SUCCESS", title, message, primaryAction, secondaryAction }: ToastOptions): ToastState {
  return { style, title, message, primaryAction: buttonOf(primaryAction), secondaryAction: buttonOf(secondaryAction) };
}

function buttonOf(action?: ActionOptions): ToastAction | undefined {
  return action && { title: action.title, shortcut: action.shortcut };
}
