import { Action, ActionPanel, Icon, List, confirmAlert } from "@raycast/api";
import { fileLog, shareLog } from "../../hooks/log-sources";
import type { ShareChoice } from "../../hooks/use-share-jobs";
import type { EngineContext } from "../../lib/context";
import type { ImageState } from "../../lib/docker/build/state";
import type { ErrorCode, TorbizError } from "../../lib/errors";
import { CopyDetailsAction } from "../copy-details-action";
import { ErrorLinkAction } from "../error-link-action";
import { tinted } from "../status-look";
import { CachedModelsAction } from "./cached-models";
import type { Controls } from "./controls";
import { FactRow } from "./fact-row";
import { failureText } from "./failure-text";
import { HelpActions } from "./help-actions";
import { ImageActions } from "./image-actions";
import { ViewLogAction } from "./view-log-action";

/** Where others' swarm is no way for this computer, one's own still is. */
const OWN_SWARM_HELPS: readonly ErrorCode[] = ["public-swarm-silent", "not-reachable"];

interface FailureRowProps {
  context: EngineContext;
  image: ImageState;
  controls: Controls;
  error: TorbizError;
  /** Of the container that ended, where it is there still. */
  containerId?: string;
  /** What to share again; absent where that isn't known. */
  again?: ShareChoice;
  /** Puts it away. */
  onClear: () => void;
}

/** Why a share ended or did not start, and what can be done. */
export function FailureRow({ context, image, controls, error, containerId, again, onClear }: FailureRowProps) {
  const { log, exitCode } = error.details ?? {};
  const source = containerId ? shareLog(context, containerId) : typeof log === "string" ? fileLog(log) : undefined;
  const startOwn = async (choice: ShareChoice) => {
    const confirmed = await confirmAlert({
      title: "Start Your Own Swarm?",
      message:
        "It is opened to your local network, so that you can invite others. Whoever is on it can join and ask, and " +
        "learns this computer's address.",
      primaryAction: { title: "Start" },
    });
    if (!confirmed) return;
    const { model, port, blocks } = choice;
    await controls.sharing.share(context, {
      ...{ model, port, swarm: { kind: "private" }, lan: true },
      // Which ones was chosen by what the other swarm lacks; one's own lacks all.
      blocks: typeof blocks === "number" ? blocks : undefined,
    });
  };
  return (
    <List.Section title={containerId ? "Last Share" : "Last Start"}>
      <FactRow
        id="failure"
        title={containerId ? "Share Ended" : "Start Failed"}
        icon={exitCode === 0 ? tinted(Icon.CheckCircle, "quiet") : tinted(Icon.XMarkCircle, "bad")}
        markdown={failureText(error)}
        facts={typeof exitCode === "number" ? [{ title: "Exit Code", text: String(exitCode) }] : []}
        actions={
          <>
            <ActionPanel.Section>
              {again && (
                <Action
                  title="Retry"
                  icon={Icon.RotateClockwise}
                  onAction={() => controls.sharing.share(context, again)}
                />
              )}
              <ErrorLinkAction error={error} />
              {again && OWN_SWARM_HELPS.includes(error.code) && (
                <Action title="Start Your Own Swarm…" icon={Icon.House} onAction={() => startOwn(again)} />
              )}
              {source && <ViewLogAction title="Log" source={source} />}
              <Action title="Clear" icon={Icon.Trash} onAction={onClear} />
              <CopyDetailsAction error={error} />
              <CachedModelsAction context={context} />
            </ActionPanel.Section>
            <ImageActions
              context={context}
              image={image}
              controls={controls}
              container={containerId ? "ended" : undefined}
            />
            <HelpActions onRefresh={controls.refresh} />
          </>
        }
      />
    </List.Section>
  );
}
