import { Action, ActionPanel, Icon, useNavigation } from "@raycast/api";
import { clipboardText, selectedText } from "../../hooks/context-text";
import { OpenGuideAction, OpenPreferencesAction } from "../share/help-actions";
import type { Controls } from "./controls";
import { ConversationsList } from "./conversations-list";
import { EnginePicker } from "./engine-picker";
import { QuestionForm } from "./question-form";
import { SHORTCUTS } from "./shortcuts";

/** Sends what is in the field. */
export function SendAction({ controls }: { controls: Controls }) {
  return <Action title="Send" icon={Icon.ArrowUpCircle} onAction={() => controls.send()} />;
}

/** Chooses another engine. */
export function ChangeModelAction({ controls }: { controls: Controls }) {
  return (
    <Action.Push
      title="Change Model…"
      icon={Icon.Switch}
      shortcut={SHORTCUTS.models}
      target={<EnginePicker controls={controls} />}
    />
  );
}

interface ChatActionsProps {
  controls: Controls;
  /** Whether the panel has the action that changes the model at a better place. */
  isModelOffered?: boolean;
}

/** What can be done whatever is selected. */
export function ChatActions({ controls, isModelOffered = false }: ChatActionsProps) {
  const { push } = useNavigation();
  const { state, draft } = controls;
  const form = (context?: { title: string; text: string }) => (
    <QuestionForm title="Ask" question={draft} context={context} onSubmit={(prompt) => void controls.send(prompt)} />
  );
  const askAbout = async (read: () => Promise<{ title: string; text: string } | undefined>) => {
    const context = await read();
    if (context) push(form(context));
  };
  return (
    <>
      <ActionPanel.Section>
        <Action.Push
          title="Write Longer Question…"
          icon={Icon.Text}
          shortcut={SHORTCUTS.longQuestion}
          target={form()}
        />
        <Action
          title="Ask About Selected Text…"
          icon={Icon.TextCursor}
          shortcut={SHORTCUTS.selection}
          onAction={() => askAbout(selectedText)}
        />
        <Action
          title="Ask About Clipboard…"
          icon={Icon.Clipboard}
          shortcut={SHORTCUTS.clipboard}
          onAction={() => askAbout(clipboardText)}
        />
      </ActionPanel.Section>
      <ActionPanel.Section>
        {(state.conversation || state.turns.length > 0) && (
          <Action title="New Conversation" icon={Icon.Plus} shortcut={SHORTCUTS.new} onAction={controls.startNew} />
        )}
        <Action.Push
          title="Conversations…"
          icon={Icon.List}
          shortcut={SHORTCUTS.conversations}
          target={<ConversationsList controls={controls} />}
        />
        {!isModelOffered && <ChangeModelAction controls={controls} />}
      </ActionPanel.Section>
      <ActionPanel.Section>
        <OpenGuideAction />
        <OpenPreferencesAction />
      </ActionPanel.Section>
    </>
  );
}
