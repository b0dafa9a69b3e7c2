import { Action, ActionPanel, Icon, List } from "@raycast/api";
import { LOCAL_MODELS } from "../../lib/ask/local-models";
import type { Gone } from "../../hooks/use-engine-choice";
import { failureText } from "../share/failure-text";
import { tinted } from "../status-look";
import { ChangeModelAction, ChatActions } from "./chat-actions";
import type { Controls } from "./controls";

/** What answered in the conversation and is no longer there: nothing is asked before a person has chosen. */
export function GoneRow({ gone: { choice, title, error }, controls }: { gone: Gone; controls: Controls }) {
  const isOffered = LOCAL_MODELS.some(({ id }) => id === choice.model);
  return (
    <List.Item
      id="gone"
      title={`${title} Is No Longer Here`}
      icon={tinted(Icon.Warning, "warning")}
      detail={<List.Item.Detail markdown={failureText(error)} />}
      actions={
        <ActionPanel>
          <ActionPanel.Section>
            <ChangeModelAction controls={controls} />
            {isOffered && (
              <Action
                title={`Download and Use ${title}`}
                icon={Icon.Download}
                onAction={() => controls.choose(choice)}
              />
            )}
          </ActionPanel.Section>
          <ChatActions controls={controls} isModelOffered />
        </ActionPanel>
      }
    />
  );
}
