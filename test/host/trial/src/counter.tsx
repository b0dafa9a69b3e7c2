import { Cache, Icon, type LaunchProps, LocalStorage, MenuBarExtra, showHUD } from "@raycast/api";
import { useCachedState } from "@raycast/utils";
import { execFileSync } from "node:child_process";
import { useEffect, useState } from "react";

const cache = new Cache({ namespace: "counter" });
/** Kept by a process that is used again: only the state of a module is new at each load. */
const kept = globalThis as { heap?: unknown[]; timers?: unknown[] };
let loads = 0;

interface Props {
  launchContext?: { by?: number };
}

export default function Counter({ launchType, launchContext }: LaunchProps<Props>) {
  const [count, setCount] = useState<number>();
  const [color, setColor] = useCachedState("color", "red");
  useEffect(() => {
    loads += 1;
    void LocalStorage.getItem<number>("count").then(async (before) => {
      const now = (before ?? 0) + (launchContext?.by ?? 1);
      await LocalStorage.setItem("count", now);
      cache.set("launch", launchType);
      if (launchType === "background" && process.env.TRIAL_LEAKS) leak();
      setCount(now);
    });
  }, []);
  if (process.env.TRIAL_SHOWS === "nothing") return null;
  return (
    <MenuBarExtra
      icon={Icon.Circle}
      title={String(count ?? "")}
      tooltip="Counter"
      isLoading={count === undefined || process.env.TRIAL_SHOWS === "loading"}
    >
      <MenuBarExtra.Section title={`load ${loads}`}>
        <MenuBarExtra.Item title="Color" subtitle={color} />
        <MenuBarExtra.Item
          title="Paint"
          shortcut={{ modifiers: ["cmd"], key: "b" }}
          onAction={({ type }) => {
            setColor(type === "left-click" ? "blue" : "green");
            return showHUD("Painted");
          }}
          alternate={<MenuBarExtra.Item title="Paint White" onAction={() => setColor("white")} />}
        />
      </MenuBarExtra.Section>
      <MenuBarExtra.Separator />
      <MenuBarExtra.Submenu title="More">
        <MenuBarExtra.Item title="Fail" onAction={() => Promise.reject(new Error("the menu failed"))} />
      </MenuBarExtra.Submenu>
    </MenuBarExtra>
  );
}

function leak(): void {
  (kept.heap ??= []).push(new Array(100_000).fill(0).map((_, at) => ({ at })));
  (kept.timers ??= []).push(setInterval(() => {}, 1000));
  execFileSync("true");
}
