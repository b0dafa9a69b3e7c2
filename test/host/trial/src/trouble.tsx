import * as raycast from "@raycast/api";
import { Action, ActionPanel, Detail, type LaunchProps, MenuBarExtra } from "@raycast/api";
import { createElement, useEffect, useState } from "react";
import { readNoSuchThing } from "./no-such-thing";
import { spawnTwo } from "./spawn-two";

const heap: unknown[] = [];

const TROUBLES: Record<string, () => unknown> = {
  throw: () => {
    throw new Error("thrown by an action");
  },
  reject: () => Promise.reject(new Error("rejected by an action")),
  late: () => setTimeout(() => Promise.reject(new Error("rejected later")), 20),
  exit: () => process.exit(3),
  heap: () => {
    for (;;) heap.push(Array.from({ length: 10_000 }, (_, at) => ({ at })));
  },
  unknown: readNoSuchThing,
  unimplemented: () => raycast.getFrontmostApplication(),
  children: () => spawnTwo(),
  hud: () => raycast.showHUD("Bye"),
  root: () => raycast.popToRoot(),
  close: () => raycast.closeMainWindow(),
  stay: () => raycast.closeMainWindow({ popToRootType: raycast.PopToRootType.Suspended }),
};

export default function Trouble({ arguments: { kind } }: LaunchProps<{ arguments: { kind: string } }>) {
  const [count, setCount] = useState(0);
  if (kind === "text") return createElement(Detail, null, "bare words");
  if (kind === "menu") return <MenuBarExtra title="Not here" />;
  if (kind === "restless") return <Restless />;
  const run = async () => {
    await TROUBLES[kind]?.();
    setCount((before) => before + 1);
  };
  return (
    <Detail
      markdown={`count ${count}`}
      actions={
        <ActionPanel>
          <Action title="Do It" onAction={run} />
        </ActionPanel>
      }
    />
  );
}

/** Its action is a new one at every turn, mostly before the screen was told of the last. */
function Restless() {
  const [turn, setTurn] = useState(0);
  const [count, setCount] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => setTurn((before) => before + 1), 25);
    return () => clearInterval(timer);
  }, []);
  return (
    <Detail
      markdown={`count ${count}`}
      actions={
        <ActionPanel key={turn}>
          <Action title="Do It" onAction={() => setCount((before) => before + 1)} />
        </ActionPanel>
      }
    />
  );
}
