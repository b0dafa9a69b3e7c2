import { Icon, LaunchType, MenuBarExtra, launchCommand, openExtensionPreferences } from "@raycast/api";
import { showFailure } from "../hooks/show-failure";
import { useLastChoice } from "../hooks/use-last-choice";
import type { Look } from "../hooks/use-sharing-status";
import type { SharingStatus } from "../lib/sharing/status";
import { modelTitle } from "./status-text";

/** What can be done from the menu in this state. Each opens another command, so that the menu bar itself does nothing long. */
export function MenuBarControls({ seen, failure }: Look) {
  const choice = useLastChoice();
  const status = failure ? undefined : seen?.status;
  const state = status?.state ?? "absent";
  const model = status?.model ?? choice?.model ?? null;
  return (
    <>
      <MenuBarExtra.Section>
        {model !== null && (state === "absent" || state === "exited") && (
          <Launch
            title="Start Again"
            subtitle={modelTitle({ model })}
            icon={Icon.Play}
            command="share-gpu"
            arguments={{ model }}
          />
        )}
        {STOP_TITLE[state] && <Launch title={STOP_TITLE[state]} icon={Icon.Stop} command="stop-sharing" />}
        {state === "online" && (
          <Launch
            title="Finish and Stop"
            subtitle="After Answers on Their Way"
            icon={Icon.Flag}
            command="stop-sharing"
            context={{ finish: true }}
          />
        )}
        {STOPS_AT_ONCE.includes(state) && (
          <Launch
            title="Stop Now"
            subtitle="Without Telling Peers"
            icon={Icon.XMarkCircle}
            command="stop-sharing"
            context={{ now: true }}
          />
        )}
      </MenuBarExtra.Section>
      <MenuBarExtra.Section>
        <Launch title="Open Share GPU" icon={Icon.Window} command="share-gpu" />
        {status && (state !== "absent" || status.lastBuild) && state !== "foreign" && (
          <Launch title="View Log" icon={Icon.List} command="share-gpu" context={{ view: "logs" }} />
        )}
        <Launch title="Ask Model" icon={Icon.Message} command="ask-model" />
        <MenuBarExtra.Item
          title="Open Preferences"
          icon={Icon.Gear}
          onAction={() => openExtensionPreferences().catch(showFailure)}
        />
      </MenuBarExtra.Section>
    </>
  );
}

type State = SharingStatus["state"];

/** What Stop Sharing does in each state, in the words of that state. */
const STOP_TITLE: Partial<Record<State, string>> = {
  building: "Cancel Build",
  starting: "Stop Sharing",
  online: "Stop Sharing",
  finishing: "Stop Sharing",
  paused: "Stop Sharing",
  unknown: "Stop Sharing",
  exited: "Clear Ended Share",
};

const STOPS_AT_ONCE: readonly State[] = ["starting", "online", "finishing", "stopping", "paused", "unknown"];

type Options = Parameters<typeof launchCommand>[0];

interface LaunchProps {
  arguments?: Options["arguments"];
  context?: Options["context"];
  title: string;
  subtitle?: string;
  icon: Icon;
  command: string;
}

function Launch({ title, subtitle, icon, command, ...options }: LaunchProps) {
  const launch = () => launchCommand({ name: command, type: LaunchType.UserInitiated, ...options }).catch(showFailure);
  return <MenuBarExtra.Item title={title} subtitle={subtitle} icon={icon} onAction={launch} />;
}
