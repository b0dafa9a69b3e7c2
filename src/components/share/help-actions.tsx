import { Action, ActionPanel, Icon, environment, openExtensionPreferences } from "@raycast/api";
import { join } from "node:path";
import { SHORTCUTS } from "./shortcuts";

/** What helps on every screen. */
export function HelpActions({ onRefresh }: { onRefresh: () => void }) {
  return (
    <ActionPanel.Section>
      <Action title="Refresh" icon={Icon.ArrowClockwise} shortcut={SHORTCUTS.refresh} onAction={onRefresh} />
      <OpenGuideAction />
      <OpenPreferencesAction />
    </ActionPanel.Section>
  );
}

/** Opens the guide that comes with Torbiz. */
export function OpenGuideAction() {
  const guide = join(environment.assetsPath, "runtime", "docker", "DOCKER_MACOS_GUIDE.txt");
  return <Action.Open title="Open Guide" icon={Icon.Book} shortcut={SHORTCUTS.guide} target={guide} />;
}

export function OpenPreferencesAction() {
  return <Action title="Open Preferences" icon={Icon.Gear} onAction={openExtensionPreferences} />;
}
