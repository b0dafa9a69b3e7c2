import { useContext } from "react";
import type { ApiShape, Shape } from "../api-shape";
import type { AlertState, Launch, LaunchRequest } from "../protocol";
import { makeCacheClass } from "./cache";
import { makeComponent } from "./components";
import { clipboard, hide, localStorage, openTarget, showInFinder, trash } from "./functions";
import { ask } from "./link";
import { NavigationContext, type NavigationStack } from "./navigation";
import { COMMON_SHORTCUTS } from "./shortcuts";
import type { ToastShelf } from "./toast";

interface ApiOptions {
  launch: Launch;
  shape: ApiShape;
  toasts: ToastShelf;
  navigation: NavigationStack;
}

type Implementations = Record<string, unknown>;

/**
 * The module @raycast/api of one launch: every name that the real package has, and no other. Components come from the
 * types; what else isn't implemented throws when it is used.
 */
export function makeApi(options: ApiOptions): object {
  const { shape } = options;
  const implementations = implement(options);
  const api: Record<string, unknown> = {};
  for (const [name, one] of Object.entries(shape.exports)) define(api, name, one, name, implementations, options);
  return new Proxy(api, {
    get(target, name) {
      // esbuild's own question.
      if (typeof name === "symbol" || name === "__esModule" || name in target)
        return Reflect.get(target, name) as unknown;
      throw new Error(`@raycast/api ${shape.version} has no export "${name}"`);
    },
  });
}

function define(
  owner: object,
  name: string,
  shape: Shape,
  path: string,
  implementations: Implementations,
  options: ApiOptions,
): void {
  const unknown = (): never => {
    throw new Error(`${path} of @raycast/api: not in the test host`);
  };
  if (path in implementations) return setMember(owner, name, implementations[path]);
  if (shape.kind === "enum") return setMember(owner, name, { ...shape.values });
  if (shape.kind === "value") {
    if ("value" in shape) setMember(owner, name, shape.value);
    else Object.defineProperty(owner, name, { get: unknown, enumerable: true });
    return;
  }
  const made =
    shape.kind === "component"
      ? makeComponent(path, options.launch.environment.commandMode)
      : shape.kind === "object"
        ? {}
        : function () {
            unknown();
          };
  for (const [member, inner] of Object.entries(shape.members ?? {})) {
    define(made, member, inner, `${path}.${member}`, implementations, options);
  }
  setMember(owner, name, made);
}

function setMember(owner: object, name: string, value: unknown): void {
  Object.defineProperty(owner, name, { value, enumerable: true, configurable: true, writable: true });
}

function implement({ launch, shape, toasts }: ApiOptions): Implementations {
  const { environment, preferences } = launch;
  const Toast = toasts.makeClass(shape.exports.Toast?.members?.Style?.values ?? {});
  const isFullDay = (date: Date | null | undefined) =>
    Boolean(date) && date?.getHours() === 0 && date.getMinutes() === 0 && date.getSeconds() === 0;
  const shortcuts: Implementations = {};
  for (const [name, shortcut] of Object.entries(COMMON_SHORTCUTS)) {
    shortcuts[`Keyboard.Shortcut.Common.${name}`] = shortcut;
  }
  return {
    ...shortcuts,
    Toast,
    async showToast(first: unknown, title?: string, message?: string) {
      const given = typeof first === "string" ? { style: first, title, message } : first;
      const toast = new Toast(given as ConstructorParameters<typeof Toast>[0]);
      await toast.show();
      return toast;
    },
    showHUD: hide,
    closeMainWindow: (options?: Parameters<typeof hide>[1]) => hide(undefined, options),
    popToRoot: (options?: { clearSearchBar?: boolean }) => ask("popToRoot", options),
    clearSearchBar: () => ask("clearSearchBar"),
    confirmAlert,
    Cache: makeCacheClass(environment.supportPath),
    Clipboard: clipboard,
    getSelectedText: () => ask("readSelectedText"),
    LocalStorage: localStorage,
    getPreferenceValues: () => ({ ...preferences }),
    open: openTarget,
    showInFinder,
    trash,
    openExtensionPreferences: () => ask("openPreferences", "extension"),
    openCommandPreferences: () => ask("openPreferences", "command"),
    updateCommandMetadata: (metadata: { subtitle?: string | null }) => ask("updateCommandMetadata", metadata),
    launchCommand,
    captureException: (error: unknown) => void ask("captureException", String(error)),
    useNavigation() {
      const { push, pop } = useContext(NavigationContext) ?? {};
      return { push, pop };
    },
    environment: { ...environment, canAccess: () => false },
    "Form.DatePicker.isFullDay": isFullDay,
    "Action.PickDate.isFullDay": isFullDay,
  };
}

type AlertAction = NonNullable<AlertState["primaryAction"]> & { onAction?: () => void };

async function confirmAlert(
  alert: Omit<AlertState, "primaryAction" | "dismissAction"> & {
    primaryAction?: AlertAction;
    dismissAction?: AlertAction;
  },
): Promise<boolean> {
  const plain = (action?: AlertAction) => action && { title: action.title, style: action.style };
  const { title, message, primaryAction, dismissAction } = alert;
  const confirmed = await ask("confirmAlert", {
    ...{ title, message },
    ...{ primaryAction: plain(primaryAction), dismissAction: plain(dismissAction) },
  });
  (confirmed ? primaryAction : dismissAction)?.onAction?.();
  return confirmed;
}

function launchCommand(request: LaunchRequest): Promise<void> {
  const { context } = request;
  return ask("launchCommand", { ...request, context: context && JSON.parse(JSON.stringify(context)) });
}
