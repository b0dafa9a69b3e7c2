import { Icon, LaunchType, MenuBarExtra, launchCommand } from "@raycast/api";
import { STATUS_LOOK } from "./components/status-look";
import { blocksText, sessionsText } from "./components/status-text";
import { showFailure } from "./hooks/show-failure";
import { useSharingStatus } from "./hooks/use-sharing-status";

export default function MenuBar() {
  const { seen, error, isLoading } = useSharingStatus();
  const status = seen?.status;
  const look = STATUS_LOOK[error || !status ? "unknown" : status.state];
  const title = error || !status || status.state === "absent" ? undefined : look.word;
  const blocks = status && blocksText(status);
  return (
    <MenuBarExtra icon={look.icon} title={title} tooltip={`Torbiz: ${look.word}`} isLoading={isLoading}>
      {error && (
        <MenuBarExtra.Section title={error.title}>
          <MenuBarExtra.Item title={error.message} />
          {seen && (
            <MenuBarExtra.Item title={`Last Known: ${STATUS_LOOK[seen.status.state].word}`} subtitle={time(seen.at)} />
          )}
        </MenuBarExtra.Section>
      )}
      {!error && status && (
        <MenuBarExtra.Section title={look.word}>
          {status.model && <MenuBarExtra.Item icon={Icon.Box} title={status.model} />}
          {blocks && <MenuBarExtra.Item icon={Icon.Layers} title={blocks} />}
          {status.state === "online" && <MenuBarExtra.Item icon={Icon.TwoPeople} title={sessionsText(status)} />}
          {status.message && <MenuBarExtra.Item icon={Icon.Info} title={status.message} />}
        </MenuBarExtra.Section>
      )}
      <MenuBarExtra.Section>
        {status?.state !== "absent" && <Launch title="Stop Sharing" icon={Icon.Stop} command="stop-sharing" />}
        <Launch title="Share GPU" icon={Icon.Play} command="share-gpu" />
        <Launch title="Ask Model" icon={Icon.Message} command="ask-model" />
      </MenuBarExtra.Section>
    </MenuBarExtra>
  );
}

function Launch({ title, icon, command }: { title: string; icon: Icon; command: string }) {
  const launch = () => launchCommand({ name: command, type: LaunchType.UserInitiated }).catch(showFailure);
  return <MenuBarExtra.Item title={title} icon={icon} onAction={launch} />;
}

function time(iso: string): string {
  return new Date(iso).toLocaleString();
}
