import { Action, ActionPanel, Alert, Icon, List, Toast, confirmAlert, showToast } from "@raycast/api";
import { usePromise } from "@raycast/utils";
import { useRef } from "react";
import { showFailure } from "../../hooks/show-failure";
import type { EngineContext } from "../../lib/context";
import { toTorbizError } from "../../lib/errors";
import { listCache, removeCached, type CachedModel } from "../../lib/sharing/block-cache";
import { sizeText } from "../../lib/units";
import { FailureEmptyView } from "../failure-empty-view";
import { SHORTCUTS } from "./shortcuts";

/** Opens what is kept of models that were fetched from a hub. */
export function CachedModelsAction({ context }: { context: EngineContext }) {
  return <Action.Push title="Show Cached Models" icon={Icon.HardDrive} target={<CachedModels context={context} />} />;
}

/** Nothing is removed unasked. */
function CachedModels({ context }: { context: EngineContext }) {
  const leaving = useRef<AbortController>(undefined);
  const { data, error, isLoading, revalidate } = usePromise(() => listCache(context, leaving.current?.signal), [], {
    abortable: leaving,
    onError: () => undefined,
  });

  const remove = async ({ repository, model, volumeBytes, homeBytes }: CachedModel) => {
    const title = model?.title ?? repository;
    const confirmed = await confirmAlert({
      title: `Remove ${title}?`,
      message: `This frees ${sizeText(volumeBytes + homeBytes)}. It is downloaded anew when it is shared again.`,
      primaryAction: { title: "Remove", style: Alert.ActionStyle.Destructive },
    });
    if (!confirmed) return;
    try {
      const bytes = await removeCached(context, repository);
      await showToast({ style: Toast.Style.Success, title: `Removed ${sizeText(bytes)}` });
    } catch (failure) {
      await showFailure(failure);
    }
    revalidate();
  };

  return (
    <List isLoading={isLoading} navigationTitle="Cached Models">
      {error ? (
        <FailureEmptyView error={toTorbizError(error)} onRetry={() => void revalidate()} />
      ) : (
        <List.EmptyView title="Nothing Is Kept" description="No model was fetched from a hub." icon={Icon.HardDrive} />
      )}
      {data?.map((cached) => (
        <List.Item
          key={cached.repository}
          id={cached.repository}
          title={cached.model?.title ?? cached.repository}
          subtitle={cached.model && cached.repository}
          icon={Icon.HardDrive}
          accessories={[
            { text: sizeText(cached.volumeBytes), tooltip: "Blocks in Docker's Volume" },
            ...(cached.homeBytes > 0
              ? [{ text: sizeText(cached.homeBytes), tooltip: "For Asking, in the Home Folder" }]
              : []),
          ]}
          actions={
            <ActionPanel>
              <Action
                title="Remove…"
                icon={Icon.Trash}
                style={Action.Style.Destructive}
                shortcut={SHORTCUTS.stop}
                onAction={() => remove(cached)}
              />
              <Action
                title="Refresh"
                icon={Icon.ArrowClockwise}
                shortcut={SHORTCUTS.refresh}
                onAction={() => revalidate()}
              />
            </ActionPanel>
          }
        />
      ))}
    </List>
  );
}
