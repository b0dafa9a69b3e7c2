import { Action, ActionPanel, Icon, List } from "@raycast/api";
import { fileLog, shareLog } from "../../hooks/log-sources";
import type { EngineContext } from "../../lib/context";
import type { ImageState } from "../../lib/docker/build/state";
import type { TorbizError } from "../../lib/errors";
import { tinted } from "../status-look";
import type { Controls } from "./controls";
import { FactRow } from "./fact-row";
import { failureText } from "./failure-text";
import { HelpActions } from "./help-actions";
import { ImageActions } from "./image-actions";
import { ViewLogAction } from "./view-log-action";

interface FailureRowProps {
  context: EngineContext;
  image: ImageState;
  controls: Controls;
  error: TorbizError;
  /** Of the container that ended, where it is there still. */
  containerId?: string;
  /** Absent where it can't be done again as it was. */
  onRetry?: () => void;
  /** Puts it away. */
  onClear: () => void;
}

/** Why a share ended or did not start, and what can be done. */
export function FailureRow({ context, image, controls, error, containerId, onRetry, onClear }: FailureRowProps) {
  const { log, exitCode } = error.details ?? {};
  const source = containerId ? shareLog(context, containerId) : typeof log === "string" ? fileLog(log) : undefined;
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
              {onRetry && <Action title="Retry" icon={Icon.RotateClockwise} onAction={onRetry} />}
              {source && <ViewLogAction title="Log" source={source} />}
              <Action title="Clear" icon={Icon.Trash} onAction={onClear} />
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
