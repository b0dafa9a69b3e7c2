import { Action, ActionPanel, Icon, List } from "@raycast/api";
import type { Start } from "../../hooks/use-share-jobs";
import type { EngineContext } from "../../lib/context";
import { STATUS_LOOK } from "../status-look";
import type { Controls } from "./controls";
import { FactRow } from "./fact-row";
import { HelpActions } from "./help-actions";
import { SHORTCUTS } from "./shortcuts";
import { swarmWords } from "./words";

interface StartingScreenProps {
  context: EngineContext;
  controls: Controls;
  start: Start;
}

/** Until then it is this window that works. */
const KEEP_OPEN = "Keep this window open until the container starts (some seconds).";

/** A start of this window that has no container yet. */
export function StartingScreen({ context, controls, start }: StartingScreenProps) {
  const { model, swarm, blocks } = start.choice;
  return (
    <List.Section title={model.title}>
      <FactRow
        id="status"
        title="Status"
        subtitle={STATUS_LOOK.starting.word}
        icon={STATUS_LOOK.starting.icon}
        markdown={`**${start.progress?.message ?? "Preparing"}**\n\n${KEEP_OPEN}`}
        facts={[
          { title: "Model", text: model.title },
          ...(swarm ? [{ title: "Swarm", text: swarmWords(swarm) }] : []),
          ...(blocks ? [{ title: "Blocks", text: `${blocks} of ${model.blocks}` }] : []),
        ]}
        actions={
          <>
            <ActionPanel.Section>
              <Action title="Refresh" icon={Icon.ArrowClockwise} onAction={controls.refresh} />
              <Action
                title="Stop Sharing"
                icon={Icon.Stop}
                shortcut={SHORTCUTS.stop}
                onAction={() => controls.sharing.stop(context)}
              />
            </ActionPanel.Section>
            <HelpActions onRefresh={controls.refresh} />
          </>
        }
      />
    </List.Section>
  );
}
