import {
  Action,
  ActionPanel,
  Icon,
  LaunchType,
  environment,
  launchCommand,
  openExtensionPreferences,
} from "@raycast/api";
import { join } from "node:path";
import { showFailure } from "../../hooks/show-failure";
import { SHORTCUTS } from "./shortcuts";

/** What helps on every screen. */
export function HelpActions({ onRefresh }: { onRefresh: () => void }) {
  return (
    <ActionPanel.Section>
      <Action title="Refresh" icon={Icon.ArrowClockwise} shortcut={SHORTCUTS.refresh} onAction={onRefresh} />
      <RunDoctorAction />
      <OpenGuideAction />
      <OpenPreferencesAction />
    </ActionPanel.Section>
  );
}

/** Opens the command that looks for what is wrong; its own, as it needs more code than the view that offers it may have. */
export function RunDoctorAction() {
  const launch = () => launchCommand({ name: "doctor", type: LaunchType.UserInitiated }).catch(showFailure);
  return <Action title="Run Doctor" icon={Icon.Heartbeat} onAction={launch} />;
}

/** Opens the guide that comes with Torbiz. */
export function OpenGuideAction() {
  const guide = join(environment.assetsPath, "runtime", "docker", "DOCKER_MACOS_GUIDE.txt");
  return <Action.Open title="Open Guide" icon={Icon.Book} shortcut={SHORTCUTS.guide} target={guide} />;
}

export function OpenPreferencesAction() {
  return <Action title="Open Preferences" icon={Icon.Gear} onAction={openExtensionPreferences} />;
}
