import type { ReactNode } from "react";
import { copy, hide, openTarget, paste, showInFinder, trash } from "./functions";
import type { Navigation } from "./navigation";

type Props = Record<string, unknown>;
/** What Raycast makes of an action's own props. */
type Behavior = (props: Props, navigation: Navigation) => Props;

const tell = (handler: unknown, ...args: unknown[]) => {
  if (typeof handler === "function") handler(...args);
};

const BEHAVIORS: Record<string, Behavior> = {
  "Action.CopyToClipboard": (props) => ({
    title: "Copy to Clipboard",
    ...props,
    async onAction() {
      await copy(props.content, { concealed: Boolean(props.concealed) });
      tell(props.onCopy, props.content);
      await hide("Copied to Clipboard");
    },
  }),
  "Action.Paste": (props) => ({
    title: "Paste in Active App",
    ...props,
    async onAction() {
      await paste(props.content);
      tell(props.onPaste, props.content);
      await hide();
    },
  }),
  "Action.OpenInBrowser": (props) => ({
    title: "Open in Browser",
    ...props,
    async onAction() {
      await openTarget(props.url);
      tell(props.onOpen, props.url);
      await hide();
    },
  }),
  "Action.Open": (props) => ({
    ...props,
    async onAction() {
      await openTarget(props.target, props.application);
      tell(props.onOpen, props.target);
      await hide();
    },
  }),
  "Action.ShowInFinder": (props) => ({
    title: "Show in Finder",
    ...props,
    async onAction() {
      await showInFinder(props.path);
      tell(props.onShow, props.path);
      await hide();
    },
  }),
  "Action.Trash": (props) => ({
    title: "Move to Trash",
    ...props,
    async onAction() {
      await trash(props.paths);
      tell(props.onTrash, props.paths);
    },
  }),
  "Action.SubmitForm": (props) => ({
    title: "Submit Form",
    ...props,
    onAction: (values: unknown) => (typeof props.onSubmit === "function" ? props.onSubmit(values) : undefined),
  }),
  "Action.Push": ({ target, ...props }, navigation) => ({
    ...props,
    onAction() {
      tell(props.onPush);
      navigation.push(target as ReactNode, props.onPop as (() => void) | undefined);
    },
  }),
};

const PLAIN = ["Action", "Action.Style"];

/** What becomes of the props of a kind of action; undefined for what isn't one of Raycast's ready-made actions. */
export function actionBehavior(path: string): Behavior | undefined {
  if (!path.startsWith("Action.") || PLAIN.includes(path)) return undefined;
  return (
    BEHAVIORS[path] ??
    ((props) => ({
      ...props,
      onAction() {
        throw new Error(`${path} of @raycast/api: not in the test host`);
      },
    }))
  );
}
