import { Action, ActionPanel, Icon, List } from "@raycast/api";
import type { EngineContext } from "../../lib/context";
import type { EndedBuild } from "../../lib/docker/build/last-build";
import { findFailedStep } from "../../lib/docker/build/failed-step";
import { manualBuildCommand } from "../../lib/docker/build/manual";
import { CopyDetailsAction } from "../copy-details-action";
import { tinted } from "../status-look";
import type { Controls } from "./controls";
import { FactRow } from "./fact-row";
import { failureText } from "./failure-text";
import { HelpActions } from "./help-actions";
import { buildLog } from "../../hooks/log-sources";
import { ViewLogAction } from "./view-log-action";
import { dateWords, shortened } from "./words";

interface FailedBuildRowProps {
  context: EngineContext;
  controls: Controls;
  failed: EndedBuild;
}

/** A longer one is cut at some place. */
const FACT_LENGTH = 40;

/** How the last build failed: the step, the last lines, and what can be done. */
export function FailedBuildRow({ context, controls, failed }: FailedBuildRowProps) {
  const { error, at } = failed;
  const named = error?.details?.step;
  const found = typeof named === "string" ? findFailedStep(named, context.runtimeFiles) : undefined;
  return (
    <List.Section title="Last Build">
      <FactRow
        id="failed-build"
        title="Build Failed"
        icon={tinted(Icon.XMarkCircle, "bad")}
        markdown={error ? failureText(error) : "The build broke off."}
        facts={[
          ...(found
            ? [
                { title: "Step", text: `${found.step} of ${found.steps}` },
                { title: "Doing", text: shortened(found.title, FACT_LENGTH) },
              ]
            : []),
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
              {error && <CopyDetailsAction error={error} />}
            </ActionPanel.Section>
            <HelpActions onRefresh={controls.refresh} />
          </>
        }
      />
    </List.Section>
  );
}
