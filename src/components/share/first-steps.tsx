import { Action, ActionPanel, Icon, List } from "@raycast/api";
import { getProgressIcon } from "@raycast/utils";
import type { EngineContext } from "../../lib/context";
import { buildRoomText } from "../../lib/docker/build/build-room";
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
  const { build, refresh, wish } = controls;
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
        markdown={[
          ...(running ? [BUILDING] : [BUILD, `${computesWith(context)} ${SPEED}`, MEANWHILE]),
          ...(wish ? [`**${wish.title} is shared when the image is built**, if this window is open then.`] : []),
        ].join("\n\n")}
        facts={running ? buildFacts(running.startedAt, progress) : [...imageFacts(context), ...engineFacts(context)]}
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
        markdown={[`${computesWith(context)} ${SPEED}`, "Larger models are far slower.", SAFETY].join("\n\n")}
        facts={engineFacts(context)}
        actions={actions}
      />
    </List.Section>
  );
}

const BUILD = "Torbiz shares from a Docker container. Its image is built once on this computer, and kept.";

const MEANWHILE = "You may close this window meanwhile: the build goes on.";

const BUILDING = "You may close this window: the build goes on, and the menu bar shows how far it is.";

const SPEED = "Expect 10–17 tokens/s with the starter model on two processor cores.";

const SAFETY = "The container has limits on memory and processors, and no access to your files.";

function imageFacts({ facts }: EngineContext): Fact[] {
  return [
    { title: "Time", text: "5–10 minutes on a typical Mac" },
    { title: "Download", text: "About 500 MB" },
    { title: "Disk", text: `1.3 GB, ${buildRoomText(facts)} during the build` },
  ];
}

function engineFacts({ facts }: EngineContext): Fact[] {
  return [
    { title: "Docker's Processors", text: String(facts.cpus) },
    { title: "Docker's Memory", text: gigabytes(facts.memoryBytes) },
  ];
}

function buildFacts(startedAt: string, progress: BuildProgress | undefined): Fact[] {
  const started = new Date(startedAt).toLocaleTimeString("en-US", { timeStyle: "short" });
  if (!progress) return [{ title: "Started", text: started }];
  const { step, steps, title, detail, warning, percent, secondsLeft } = progress;
  return [
    { title: "Step", text: `${step} of ${steps}` },
    { title: "Now", text: title },
    ...(detail ? [{ title: "Detail", text: detail }] : []),
    ...(warning ? [{ title: "Warning", text: warning }] : []),
    { title: "Done", text: `${Math.floor(percent * 100)}%` },
    { title: "Time Left", text: timeLeft(secondsLeft) },
    { title: "Started", text: started },
  ];
}
