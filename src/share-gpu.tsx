import { Action, ActionPanel, Icon, LaunchType, List, launchCommand } from "@raycast/api";
import { FailureView } from "./components/failure-view";
import { STATUS_LOOK } from "./components/status-look";
import { blocksText, sessionsText } from "./components/status-text";
import { shareModel } from "./hooks/share-model";
import { showFailure } from "./hooks/show-failure";
import { useDocker } from "./hooks/use-docker";
import { useSharingStatus } from "./hooks/use-sharing-status";
import { MODELS, type Model } from "./lib/models";
import type { SharingStatus } from "./lib/sharing/status";

export default function ShareGpu() {
  const docker = useDocker();
  const { seen, error, isLoading, refresh } = useSharingStatus();
  const failure = docker.error ?? error;
  const retry = () => {
    docker.retry();
    refresh();
  };
  return (
    <List isLoading={docker.isLoading || isLoading} searchBarPlaceholder="Search models">
      {failure ? (
        <FailureView error={failure} onRetry={retry} />
      ) : (
        MODELS.map((model) => <ModelItem key={model.id} model={model} status={seen?.status} refresh={refresh} />)
      )}
    </List>
  );
}

interface ModelItemProps {
  model: Model;
  status?: SharingStatus;
  refresh: () => void;
}

function ModelItem({ model, status, refresh }: ModelItemProps) {
  const shared = status?.model === model.id ? status : undefined;
  const share = async () => {
    await shareModel(model);
    refresh();
  };
  const stop = () => launchCommand({ name: "stop-sharing", type: LaunchType.UserInitiated }).catch(showFailure);
  return (
    <List.Item
      title={model.title}
      subtitle={model.note}
      icon={shared ? STATUS_LOOK[shared.state].icon : Icon.Box}
      accessories={shared ? describe(shared) : []}
      actions={
        <ActionPanel>
          <Action title="Share" icon={Icon.Play} onAction={share} />
          {shared && <Action title="Stop Sharing" icon={Icon.Stop} onAction={stop} />}
          <Action title="Refresh" icon={Icon.ArrowClockwise} onAction={refresh} />
        </ActionPanel>
      }
    />
  );
}

function describe(status: SharingStatus): List.Item.Accessory[] {
  const blocks = blocksText(status);
  return [
    ...(blocks ? [{ text: blocks, icon: Icon.Layers }] : []),
    ...(status.state === "online" ? [{ text: sessionsText(status), icon: Icon.TwoPeople }] : []),
    { tag: STATUS_LOOK[status.state].word, tooltip: status.message },
  ];
}
