import { Action, ActionPanel, Icon, List } from "@raycast/api";
import type { Start } from "../../hooks/use-share-jobs";
import type { EngineContext } from "../../lib/context";
import { STATUS_LOOK } from "../status-look";
import type { Controls } from "./controls";
import { FactRow } from "./fact-row";
import { OpenGuideAction, OpenPreferencesAction } from "./help-actions";
import { SHORTCUTS } from "./shortcuts";
import { StopActions } from "./stop-actions";
import { chosenBlocks, swarmWords } from "./words";

interface StartingScreenProps {
  context: EngineContext;
  controls: Controls;
  /** Undefined: another command starts something. */
  start?: Start;
}

/** Until then it is this window that works. */
const KEEP_OPEN = "Keep this window open until the container starts (some seconds).";

/** A start that has no container yet. */
export function StartingScreen({ context, controls, start }: StartingScreenProps) {
  const { model, swarm, blocks } = start?.choice ?? {};
  return (
    <List.Section title={model?.title ?? "Started Elsewhere"}>
      <FactRow
        id="status"
        title="Status"
        subtitle={STATUS_LOOK.starting.word}
        icon={STATUS_LOOK.starting.icon}
        markdown={`**${start?.progress?.message ?? "What it needs is being prepared."}**\n\n${start ? KEEP_OPEN : ""}`}
        facts={[
          ...(model ? [{ title: "Model", text: model.title }] : []),
          ...(swarm ? [{ title: "Swarm", text: swarmWords(swarm) }] : []),
          ...(model && blocks ? [{ title: "Blocks", text: chosenBlocks(blocks, model) }] : []),
        ]}
        actions={
          <>
            <ActionPanel.Section>
              {/* First, as the key that started it may be pressed twice. */}
              <Action
                title="Refresh"
                icon={Icon.ArrowClockwise}
                shortcut={SHORTCUTS.refresh}
                onAction={controls.refresh}
              />
              <StopActions context={context} sharing={controls.sharing} />
            </ActionPanel.Section>
            <OpenGuideAction />
            <OpenPreferencesAction />
          </>
        }
      />
    </List.Section>
  );
}
