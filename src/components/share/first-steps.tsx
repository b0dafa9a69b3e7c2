import { Action, ActionPanel, Icon, List } from "@raycast/api";
import { getProgressIcon } from "@raycast/utils";
import type { EngineContext } from "../../lib/context";
import type { BuildProgress } from "../../lib/docker/build/progress";
import { defaultModel } from "../../lib/models";
import { PALETTE } from "../status-look";
import type { Controls } from "./controls";
import { FactRow, type Fact } from "./fact-row";
import { HelpActions } from "./help-actions";
import { buildLog } from "../../hooks/log-sources";
import { ViewLogAction } from "./view-log-action";
import { computesWith, timeLeft } from "./words";
import { gigabytes } from "../../lib/sharing/fit";

interface FirstStepsProps {
  context: EngineContext;
  controls: Controls;
  /** A build runs: since when it does, and how far it is once that is known. */
  running?: { startedAt: string; progress?: BuildProgress };
}

/** What happens from nothing to sharing, before anything of it is started, and while the image is built. */
export function FirstSteps({ context, controls, running }: FirstStepsProps) {
  const { build, refresh } = controls;
  const progress = running?.progress;
  const actions = (
    <>
      <ActionPanel.Section>
        {running ? (
          <>
            <ViewLogAction title="Build Log" source={buildLog(context)} />
            <Action title="Cancel Build" icon={Icon.XMarkCircle} onAction={() => build.cancel(context)} />
          </>
        ) : (
          <Action title="Build Image" icon={Icon.Hammer} onAction={() => build.build(context)} />
        )}
      </ActionPanel.Section>
      <HelpActions onRefresh={refresh} />
    </>
  );
  return (
    <List.Section title={running ? "Building the Image" : "Before Sharing"}>
      <FactRow
        id="build"
        title="1. Build the Image"
        icon={running ? getProgressIcon(progress?.percent ?? 0, PALETTE.busy) : Icon.Hammer}
        accessories={progress && [{ text: `${Math.floor(progress.percent * 100)}%` }]}
        markdown={running ? BUILDING : BUILD}
        facts={running ? buildFacts(running.startedAt, progress) : BUILD_FACTS}
        actions={actions}
      />
      <FactRow
        id="choose"
        title="2. Choose a Model"
        icon={Icon.Box}
        markdown={`${defaultModel.title} comes with Torbiz: it needs no account and nothing else to download.`}
        actions={actions}
      />
      <FactRow
        id="share"
        title="3. Share"
        icon={Icon.Play}
        markdown={[computesWith(context), SPEED, SAFETY].join("\n\n")}
        facts={[
          { title: "Docker's Processors", text: String(context.facts.cpus) },
          { title: "Docker's Memory", text: gigabytes(context.facts.memoryBytes) },
        ]}
        actions={actions}
      />
    </List.Section>
  );
}

const BUILD = [
  "Torbiz shares from a Docker container. Its image is built on this computer, and kept.",
  "You may close this window meanwhile: the build goes on, and the menu bar shows how far it is.",
].join("\n\n");

const BUILDING = "You may close this window: the build goes on, and the menu bar shows how far it is.";

const BUILD_FACTS: readonly Fact[] = [
  { title: "First Time", text: "5–10 minutes on a usual Mac" },
  { title: "Later", text: "Not at all" },
  { title: "Download", text: "About 500 MB" },
  { title: "Disk", text: "1.3 GB" },
  { title: "Disk While It Builds", text: "About 3 GB" },
];

const SPEED =
  "Expect about 10–17 tokens/s with the starter model on two processor cores. Larger models are far slower.";

const SAFETY = "The container has limits on memory and processors, and no access to your files.";

function buildFacts(startedAt: string, progress: BuildProgress | undefined): Fact[] {
  const started = new Date(startedAt).toLocaleTimeString("en-US", { timeStyle: "short" });
  if (!progress) return [{ title: "Started", text: started }];
  const { step, steps, title, detail, percent, secondsLeft } = progress;
  return [
    { title: "Step", text: `${step} of ${steps}` },
    { title: "Now", text: title },
    ...(detail ? [{ title: "Detail", text: detail }] : []),
    { title: "Done", text: `${Math.floor(percent * 100)}%` },
    { title: "Time Left", text: timeLeft(secondsLeft) },
    { title: "Started", text: started },
  ];
}
