import { Action, ActionPanel, Icon, List } from "@raycast/api";
import type { EngineContext } from "../../lib/context";
import type { EndedBuild } from "../../lib/docker/build/last-build";
import { manualBuildCommand } from "../../lib/docker/build/manual";
import { tinted } from "../status-look";
import type { Controls } from "./controls";
import { FactRow } from "./fact-row";
import { failureText } from "./failure-text";
import { HelpActions } from "./help-actions";
import { buildLog } from "../../hooks/log-sources";
import { ViewLogAction } from "./view-log-action";
import { dateWords } from "./words";

interface FailedBuildRowProps {
  context: EngineContext;
  controls: Controls;
  failed: EndedBuild;
}

/** How the last build failed: the step, the last lines, and what can be done. */
export function FailedBuildRow({ context, controls, failed }: FailedBuildRowProps) {
  const { error, at } = failed;
  const step = error?.details?.step;
  return (
    <List.Section title="The Last Build Failed">
      <FactRow
        id="failed-build"
        title={error?.title ?? "The build broke off"}
        icon={tinted(Icon.XMarkCircle, "bad")}
        markdown={error && failureText(error)}
        facts={[
          ...(typeof step === "string" ? [{ title: "Step", text: step }] : []),
          { title: "When", text: dateWords(at) },
        ]}
        actions={
          <>
            <ActionPanel.Section>
              <Action title="Retry" icon={Icon.Hammer} onAction={() => controls.build.build(context)} />
              <ViewLogAction title="Build Log" source={buildLog(context)} />
              <Action.CopyToClipboard
                title="Copy Build Command"
                icon={Icon.Terminal}
                content={manualBuildCommand(context)}
              />
            </ActionPanel.Section>
            <HelpActions onRefresh={controls.refresh} />
          </>
        }
      />
    </List.Section>
  );
}
