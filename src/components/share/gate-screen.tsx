import { Action, ActionPanel, Icon, List } from "@raycast/api";
import type { PreflightProblem } from "../../lib/docker/preflight";
import { gaveUp, START_LIMIT_MS, waitText } from "../../lib/docker/wait";
import type { Overview } from "../../lib/sharing/overview";
import { CopyDetailsAction } from "../copy-details-action";
import { plainText } from "../plain-text";
import { tinted } from "../status-look";
import { ChooseSocket } from "./choose-socket";
import type { Controls } from "./controls";
import { OpenGuideAction, OpenPreferencesAction, RunDoctorAction } from "./help-actions";
import { SHORTCUTS } from "./shortcuts";

type Gate = Extract<Overview, { screen: "gate" }>;

const TITLES: Record<PreflightProblem, string> = {
  "not-installed": "Docker Isn't Installed",
  "not-running": "Docker Isn't Running",
  starting: "Docker Is Starting",
  "not-answering": "Docker Isn't Answering",
  "no-permission": "No Permission to Use Docker",
  "too-old": "Docker Is Too Old",
  "wrong-os": "Docker Runs Windows Containers",
  "unexpected-answer": "Something Other than Docker Answered",
  "context-missing": "The Docker Context Doesn't Exist",
  "host-unsupported": "This Docker Host Isn't Supported",
};

/** Why Docker can't be used yet, and what to do. Goes on by itself, as the root looks again. */
export function GateScreen({ gate, controls }: { gate: Gate; controls: Controls }) {
  const { problem } = gate;
  const { docker, refresh, restart } = controls;
  const { wait } = docker;
  // The screen is drawn anew with each look, about once a second.
  const waitedMs = wait ? Date.now() - wait.since : 0;
  const isOver = waitedMs > START_LIMIT_MS;
  const error = isOver ? gaveUp(gate.error, START_LIMIT_MS) : gate.error;
  const { action } = error;
  const start = action?.start;
  const others = (
    <>
      <Action title="Try Again" icon={Icon.ArrowClockwise} shortcut={SHORTCUTS.refresh} onAction={refresh} />
      <Action.Push title="Choose Socket…" icon={Icon.Plug} target={<ChooseSocket onChosen={restart} />} />
      <RunDoctorAction />
      <OpenGuideAction />
      <OpenPreferencesAction />
    </>
  );
  if (!isOver && (wait?.isTold || problem === "starting")) {
    return (
      <List.EmptyView
        icon={tinted(Icon.CircleProgress50, "busy")}
        title={wait?.isTold ? "Starting Docker…" : TITLES.starting}
        description={plainText(`It goes on by itself when Docker runs. ${waitText(error, waitedMs)}`)}
        actions={
          <ActionPanel>
            {others}
            <CopyDetailsAction error={error} />
          </ActionPanel>
        }
      />
    );
  }
  return (
    <List.EmptyView
      icon={tinted(Icon.Warning, "warning")}
      title={TITLES[problem]}
      description={plainText(`${error.message} ${error.hint}`)}
      actions={
        <ActionPanel>
          {action?.url && <Action.OpenInBrowser title={action.title} icon={Icon.Download} url={action.url} />}
          {start && <Action title={action.title} icon={Icon.Play} onAction={() => docker.startDocker(start)} />}
          {action?.command && !start && <Action.CopyToClipboard title="Copy Command" content={action.command} />}
          {others}
          <CopyDetailsAction error={error} />
        </ActionPanel>
      }
    />
  );
}
