import { Action, ActionPanel, Clipboard, Icon, showHUD } from "@raycast/api";
import { toMarkdown } from "../../lib/ask/conversations/export-conversation";
import type { ErrorCode, TorbizError } from "../../lib/errors";
import { CopyDetailsAction } from "../copy-details-action";
import { OpenPreferencesAction } from "../share/help-actions";
import { ChangeModelAction, ChatActions, SendAction } from "./chat-actions";
import type { Request } from "./chat";
import type { Controls } from "./controls";
import { QuestionForm } from "./question-form";
import { SHORTCUTS } from "./shortcuts";
import { shownVersion, type Turn } from "./turns";

interface TurnActionsProps {
  turn: Turn;
  /** Its answer is on its way. */
  isLive: boolean;
  error?: TorbizError;
  controls: Controls;
}

/** What can be done with a turn. Enter sends what is typed; with nothing typed it does what is most likely wanted. */
export function TurnActions({ turn, isLive, error, controls }: TurnActionsProps) {
  const { chat, state, draft } = controls;
  const { answer, message, question } = turn;
  const isIdle = state.live === undefined;
  const again: Request = message ? { regenerate: message.id } : { prompt: question };
  const failed = state.failure?.turn === turn.id ? state.failure : undefined;
  const shown = shownVersion(turn);
  const [previous, next] = [turn.versions[shown - 1], turn.versions[shown + 1]];
  const isModelOffered = isIdle && error !== undefined && OF_THE_ENGINE.includes(error.code);
  const isCut = answer !== undefined && answer.text !== "" && (error !== undefined || answer.ended?.reason !== "stop");
  return (
    <ActionPanel>
      <ActionPanel.Section>
        {/* Also with nothing typed while an answer comes in: the key that sent may be pressed twice. */}
        {(draft.trim() !== "" || isLive) && <SendAction controls={controls} />}
        {isLive && <Action title="Stop" icon={Icon.Stop} shortcut={SHORTCUTS.stop} onAction={() => chat.stop()} />}
        {isIdle && error && <HelpWith error={error} request={failed?.again ?? again} controls={controls} />}
        {isIdle && isCut && (
          <Action title="Continue" icon={Icon.Forward} onAction={() => controls.ask({ continues: answer.id })} />
        )}
        {isIdle && (!answer || answer.text === "") && (
          <Action
            title={error?.code === "not-asked" ? "Ask" : "Ask Again"}
            icon={Icon.RotateClockwise}
            onAction={() => controls.ask(again)}
          />
        )}
        {isModelOffered && <ChangeModelAction controls={controls} />}
        {error && <CopyDetailsAction error={error} />}
        {answer && answer.text !== "" && (
          <Action
            title="Copy Answer"
            icon={Icon.CopyClipboard}
            shortcut={SHORTCUTS.copyAnswer}
            // Not by `Action.CopyToClipboard`: each render would carry the answer twice.
            onAction={() => copy(answer.text, "Copied Answer")}
          />
        )}
      </ActionPanel.Section>
      <ActionPanel.Section>
        {isIdle && answer && answer.text !== "" && (
          <Action
            title="Regenerate"
            icon={Icon.ArrowClockwise}
            shortcut={SHORTCUTS.regenerate}
            onAction={() => controls.ask(again)}
          />
        )}
        {isIdle && (
          <Action.Push
            title="Edit and Ask Again…"
            icon={Icon.Pencil}
            shortcut={SHORTCUTS.edit}
            target={
              <QuestionForm
                title="Edit and Ask Again"
                question={question}
                onSubmit={(prompt) => void controls.ask({ prompt, ...(message && { edits: message.id }) })}
              />
            }
          />
        )}
        {isIdle && previous && (
          <Action
            title="Previous Version"
            icon={Icon.ArrowLeft}
            shortcut={SHORTCUTS.previous}
            onAction={() => chat.showVersion(turn.id, previous)}
          />
        )}
        {isIdle && next && (
          <Action
            title="Next Version"
            icon={Icon.ArrowRight}
            shortcut={SHORTCUTS.next}
            onAction={() => chat.showVersion(turn.id, next)}
          />
        )}
        <Action
          title="Copy Question"
          icon={Icon.CopyClipboard}
          shortcut={SHORTCUTS.copyQuestion}
          onAction={() => copy(question, "Copied Question")}
        />
        {state.conversation && (
          <Action
            title="Copy Conversation"
            icon={Icon.CopyClipboard}
            shortcut={SHORTCUTS.copyConversation}
            onAction={() => copyConversation(controls)}
          />
        )}
      </ActionPanel.Section>
      <ChatActions controls={controls} isModelOffered={isModelOffered} />
    </ActionPanel>
  );
}

/** Failures that another engine doesn't have. */
const OF_THE_ENGINE: readonly ErrorCode[] = [
  "ask-timeout",
  "missing-blocks",
  "model-broken",
  "model-missing",
  "model-unknown",
  "server-refused",
  "server-unreachable",
  "swarm-unreachable",
];

/** What a failure itself asks for. */
function HelpWith({ error, request, controls }: { error: TorbizError; request: Request; controls: Controls }) {
  const { code, action, details } = error;
  if (code === "server-key-wrong") return <OpenPreferencesAction />;
  return (
    <>
      {details?.canFetch === true && (
        <Action title="Get Python" icon={Icon.Download} onAction={() => controls.getPython(request)} />
      )}
      {action?.url && <Action.OpenInBrowser title={action.title} url={action.url} />}
    </>
  );
}

async function copy(text: string, hud: string): Promise<void> {
  await Clipboard.copy(text);
  await showHUD(hud);
}

/** With what has come in since the window read it. */
async function copyConversation({ store, state }: Controls): Promise<void> {
  const { conversation, leaf } = state;
  if (conversation) await copy(toMarkdown(await store.read(conversation.id), leaf), "Copied Conversation");
}
