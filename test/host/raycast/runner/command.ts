import { readFileSync } from "node:fs";
import { createRequire, isBuiltin } from "node:module";
import { dirname } from "node:path";
import { compileFunction } from "node:vm";
import * as React from "react";
import * as jsxRuntime from "react/jsx-runtime";
import type { ApiShape } from "../api-shape";
import type { Launch, Runner } from "../protocol";
import { makeApi } from "./api";
import { tell } from "./link";
import { NavigationStack } from "./navigation";
import { type HostNode, mount } from "./reconciler";
import { ToastShelf } from "./toast";
import { handlerOf, toScreen } from "./wire";

export type Command = Pick<Runner, "unload"> & {
  [Name in "invoke" | "pressToast" | "pop"]: (...args: Parameters<Runner[Name]>) => Promise<boolean>;
};

/** How long a call waits for a handler before it answers; the handler goes on. */
const HANDLER_PATIENCE_MS = 100;
/** Renders are told at most this often, as a screen would show them. */
const FRAME_MS = 16;

/** Evaluates a bundle afresh, as Raycast does for each launch, and runs its command. */
export function startCommand(launch: Launch, shape: ApiShape, crash: (error: unknown) => void): Command {
  const toasts = new ToastShelf(launch.props.launchType);
  const navigation = new NavigationStack();
  const api = makeApi({ launch, shape, toasts, navigation });
  const run = loadBundle(launch.file, {
    "@raycast/api": api,
    react: React,
    "react/jsx-runtime": jsxRuntime,
  });
  if (launch.environment.commandMode === "no-view") return runToItsEnd(run, launch, toasts, crash);
  const screen = new Screen();
  const view = React.createElement(run as React.FunctionComponent<Launch["props"]>, launch.props);
  const mounted = mount(navigation.render(view), (root) => screen.changed(root), crash);
  return {
    invoke: (id, handler, args, toItsEnd) => screen.invoke(id, handler, args, toItsEnd, crash),
    pressToast: (id, action) => settle(toasts.press(id, action), false, crash),
    pop: () => screen.pop(navigation),
    unload() {
      mounted.unmount();
      screen.stop();
    },
  };
}

function runToItsEnd(
  run: (props: Launch["props"]) => unknown,
  launch: Launch,
  toasts: ToastShelf,
  crash: (error: unknown) => void,
): Command {
  Promise.resolve()
    .then(() => run(launch.props))
    .then(() => tell({ kind: "done" }), crash);
  return {
    invoke: () => Promise.resolve(false),
    pressToast: (id, action) => settle(toasts.press(id, action), false, crash),
    pop: () => Promise.resolve(false),
    unload() {},
  };
}

/** What is mounted, told to the launcher after each render. */
class Screen {
  private root?: HostNode;
  private live = new Map<number, HostNode>();
  private timer?: NodeJS.Timeout;

  changed(root: HostNode): void {
    // The first render isn't told before React had the time to say that it failed.
    const delay = this.root ? FRAME_MS : 0;
    this.root = root;
    this.timer ??= setTimeout(() => this.show(), delay);
  }

  stop(): void {
    clearTimeout(this.timer);
  }

  async invoke(
    id: number,
    path: string,
    args: unknown[],
    toItsEnd: boolean | undefined,
    crash: (error: unknown) => void,
  ): Promise<boolean> {
    if (this.timer) this.show();
    const node = this.live.get(id);
    const handler = node && handlerOf(node, path);
    if (!handler) return false;
    await settle(async () => handler(...args), toItsEnd, crash);
    if (this.timer) this.show();
    return true;
  }

  async pop(navigation: NavigationStack): Promise<boolean> {
    const left = navigation.pop();
    await renderSoon();
    if (this.timer) this.show();
    return left;
  }

  private show(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    const views = this.root?.children ?? [];
    const top = views.at(-1)?.children.find(({ hidden }) => !hidden);
    this.live = new Map();
    tell({ kind: "screen", root: top ? toScreen(top, this.live) : null, depth: views.length });
  }
}

/** Runs a handler, and lets React show what it changed. What it throws is the command's crash, as nobody catches it. */
async function settle(
  handler: () => unknown,
  toItsEnd: boolean | undefined,
  crash: (error: unknown) => void,
): Promise<boolean> {
  const done = Promise.resolve()
    .then(handler)
    .then(() => undefined, crash);
  await (toItsEnd ? done : Promise.race([done, later(HANDLER_PATIENCE_MS)]));
  await renderSoon();
  return true;
}

/** React renders what changed outside of its own events a turn later. */
async function renderSoon(): Promise<void> {
  await later(0);
  await later(0);
}

function later(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function loadBundle(file: string, injected: Record<string, unknown>): (props: Launch["props"]) => unknown {
  const real = createRequire(file);
  const requireInjected = (id: string): unknown => {
    if (id in injected) return injected[id];
    // An installed extension has no packages but what is in its bundles.
    if (!isBuiltin(id)) throw new Error(`Cannot find module '${id}' (of an extension only the bundles are installed)`);
    return real(id) as unknown;
  };
  const module: { exports: { default?: unknown } } = { exports: {} };
  const parameters = ["exports", "require", "module", "__filename", "__dirname"];
  const evaluate = compileFunction(readFileSync(file, "utf8"), parameters, { filename: file });
  evaluate(module.exports, Object.assign(requireInjected, real), module, file, dirname(file));
  const command = module.exports.default;
  if (typeof command !== "function") throw new Error(`${file} exports no command by default`);
  return command as (props: Launch["props"]) => unknown;
}
