import {
  Cache,
  Clipboard,
  environment,
  getPreferenceValues,
  Icon,
  launchCommand,
  type LaunchProps,
  LaunchType,
  LocalStorage,
  open,
  openExtensionPreferences,
  showHUD,
  showToast,
  Toast,
  updateCommandMetadata,
} from "@raycast/api";
import { createDeeplink } from "@raycast/utils";
import { setTimeout as sleep } from "node:timers/promises";
import { spawnTwo } from "./spawn-two";

interface Props {
  arguments: { kind: string };
  launchContext?: { name?: string; when?: string };
}

const JOBS: Record<string, (props: LaunchProps<Props>) => Promise<unknown>> = {
  props: (props) => Clipboard.copy(JSON.stringify({ ...props, preferences: getPreferenceValues<object>() })),
  surroundings: () =>
    Clipboard.copy(JSON.stringify({ env: process.env, cwd: process.cwd(), icon: Icon.Plus, environment })),
  fail: () => Promise.reject(new Error("the job failed")),
  "hud-then-more": async () => {
    await showHUD("First");
    await sleep(20);
    await showHUD("Second");
  },
  toast: () => showToast({ style: Toast.Style.Failure, title: "Burnt", message: "badly" }),
  "late-toast": async () => {
    const first = await showToast({ title: "First" });
    await showToast({ title: "Second" });
    first.title = "Late";
  },
  store: async () => {
    await LocalStorage.setItem("count", 41);
    await LocalStorage.setItem("word", "kept");
    await LocalStorage.removeItem("word");
  },
  "store-object": () => LocalStorage.setItem("object", {} as unknown as string),
  cache: async () => {
    const cache = new Cache({ namespace: "small", capacity: 10 });
    const told: unknown[] = [];
    const unsubscribe = cache.subscribe((key) => told.push(key));
    cache.set("a", "12345");
    cache.set("b", "12345");
    cache.get("a");
    cache.set("c", "12345");
    unsubscribe();
    cache.remove("c");
    await Clipboard.copy(JSON.stringify({ told, a: cache.get("a"), b: cache.has("b"), c: cache.get("c") ?? null }));
  },
  read: async () => {
    const cache = new Cache({ namespace: "small" });
    const before = cache.get("a");
    cache.clear();
    await Clipboard.copy(JSON.stringify({ before, isEmpty: cache.isEmpty }));
  },
  link: () => open(createDeeplink({ command: "job", arguments: { kind: "props" }, context: { name: "own link" } })),
  children: spawnTwo,
  metadata: () => updateCommandMetadata({ subtitle: "new" }),
  preferences: openExtensionPreferences,
  "launch-unknown": () => launchCommand({ name: "no-such", type: LaunchType.UserInitiated }),
  "launch-off": () => launchCommand({ name: "off", type: LaunchType.UserInitiated }),
  "launch-counter": () => launchCommand({ name: "counter", type: LaunchType.Background }),
  "open-counter": () => launchCommand({ name: "counter", type: LaunchType.UserInitiated }),
  forever: () => new Promise(() => {}),
};

export default async function Job(props: LaunchProps<Props>) {
  await JOBS[props.arguments.kind]?.(props);
}
