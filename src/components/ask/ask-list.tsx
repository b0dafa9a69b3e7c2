import { Action, ActionPanel, Icon, List, getPreferenceValues, type Image } from "@raycast/api";
import { usePromise } from "@raycast/utils";
import { useEffect, useRef, useState } from "react";
import { showFailure } from "../../hooks/show-failure";
import { useRunningAnswers } from "../../hooks/use-running-answers";
import { useUnaskedQuestion } from "../../hooks/use-unasked-question";
import { firstRunOffers } from "../../lib/ask/engines";
import type { Surroundings } from "../../lib/context";
import { FailureEmptyView } from "../failure-empty-view";
import { tinted } from "../status-look";
import { ChatActions, SendAction } from "./chat-actions";
import type { ChatState } from "./chat";
import type { Controls } from "./controls";
import { engineTitle, whoAnswers } from "./engine-words";
import { GoneRow } from "./gone-row";
import { OfferRows } from "./offer-rows";
import { SetUpRow } from "./set-up-row";
import { questionTitle, TurnRow } from "./turn-row";
import { useControls } from "./use-controls";

/** A conversation older than that is not recent. */
const RECENT_MS = 3_600_000;

interface AskListProps {
  surroundings: Surroundings;
  /** A question to send without asking. */
  prompt?: string;
}

/**
 * Ask Model: the search bar is the field, rows are the turns of the conversation, newest first, and the answer streams
 * in the pane. Always this one list, so that it never flickers.
 */
export function AskList({ surroundings, prompt }: AskListProps) {
  const controls = useControls(surroundings);
  const { state, setUp, choice, gone, draft, setDraft, store } = controls;
  const [selected, setSelected] = useState<string | null>(null);
  const isOpened = useOpening(controls, prompt);
  const isFresh = isOpened && state.turns.length === 0 && !state.isReading;
  const { data: offers = [], isLoading: isLooking } = usePromise(() => firstRunOffers(), [], {
    execute: choice === undefined && gone === undefined,
    onError: showFailure,
  });
  const running = useRunningAnswers(surroundings, store, isFresh);
  const unasked = useUnaskedQuestion(store, isFresh, RECENT_MS);
  const hasOffers = isFresh && choice === undefined;
  const isGone = gone !== undefined && setUp.setUp === undefined;
  const hasRows =
    state.turns.length > 0 || setUp.setUp !== undefined || running.length > 0 || unasked !== undefined || hasOffers;
  const isBusy = state.live !== undefined || (setUp.setUp !== undefined && !setUp.setUp.error);
  return (
    <List
      filtering={false}
      isLoading={!isOpened || state.isReading || isBusy || (hasOffers && isLooking)}
      isShowingDetail={hasRows}
      navigationTitle={state.conversation?.title}
      searchBarPlaceholder={placeholderOf(controls)}
      searchText={draft}
      onSearchTextChange={setDraft}
      selectedItemId={state.focus}
      onSelectionChange={setSelected}
      actions={<FreshActions controls={controls} />}
    >
      {setUp.setUp && <SetUpRow setUp={setUp.setUp} controls={controls} />}
      {isGone && <GoneRow gone={gone} controls={controls} />}
      {running.map(({ conversation, title }) => (
        <ConversationRow
          key={conversation}
          {...{ conversation, title, controls }}
          word="Answering"
          about="This conversation is being answered. Press Enter to watch."
          icon={tinted(Icon.CircleProgress50, "busy")}
          action="Show Answer"
        />
      ))}
      {unasked && (
        <ConversationRow
          {...{ conversation: unasked.conversation, controls }}
          title={questionTitle(unasked.question)}
          word="Not Asked"
          about="The window closed before this question could be asked. Press Enter to go on with it."
          icon={tinted(Icon.Circle, "quiet")}
          action="Show Question"
        />
      )}
      {hasOffers && <OfferRows offers={offers} controls={controls} />}
      {state.turns.toReversed().map((turn) => (
        <TurnRow key={turn.id} turn={turn} hasDetail={isLookedAt(turn.id, selected, state)} controls={controls} />
      ))}
      {isFresh && state.failure && <FailureEmptyView error={state.failure.error} onRetry={controls.startNew} />}
      {isFresh && !hasRows && !state.failure && (
        <List.EmptyView
          icon={Icon.Message}
          title="Ask a Question"
          description={choice && whoAnswers(choice, surroundings.paths)}
        />
      )}
    </List>
  );
}

/** The pane shows the row that is selected; until that is told, the one to go to, else the newest. */
function isLookedAt(id: string, selected: string | null, { turns, focus, live }: ChatState): boolean {
  if (id === live?.turn || id === selected) return true;
  return !turns.some((turn) => turn.id === selected) && id === (focus ?? turns.at(-1)?.id);
}

function placeholderOf({ state, choice, surroundings }: Controls): string {
  const whom = choice ? ` ${engineTitle(choice, surroundings.paths)}` : "";
  return state.turns.length === 0 ? `Ask${whom} a question` : `Ask${whom} a follow-up`;
}

/** Opens what the window is to begin with, once: the prompt, a recent conversation, or nothing. */
function useOpening(controls: Controls, prompt: string | undefined): boolean {
  const { openWith } = getPreferenceValues<Preferences.AskModel>();
  const [isOpened, setOpened] = useState(prompt === undefined && openWith !== "recent");
  const begun = useRef(false);
  const { store, openConversation, send } = controls;
  useEffect(() => {
    if (begun.current) return;
    begun.current = true;
    const open = async () => {
      if (prompt === undefined && openWith === "recent") {
        const [last] = await store.list({ limit: 1 });
        if (last && Date.now() - Date.parse(last.changedAt) < RECENT_MS) await openConversation(last.id);
      }
    };
    void open()
      .catch(showFailure)
      .finally(() => {
        setOpened(true);
        if (prompt !== undefined) void send(prompt);
      });
  }, [store, openConversation, send, prompt, openWith]);
  return isOpened;
}

interface ConversationRowProps {
  conversation: string;
  title: string;
  /** Its state for people, and the same as a sentence. */
  word: string;
  about: string;
  icon: Image.ImageLike;
  /** What Enter does. */
  action: string;
  controls: Controls;
}

/** A conversation to which something is to be said although no window shows it. */
function ConversationRow({ conversation, title, word, about, icon, action, controls }: ConversationRowProps) {
  return (
    <List.Item
      id={conversation}
      title={title}
      icon={{ value: icon, tooltip: word }}
      accessories={[{ text: word }]}
      detail={<List.Item.Detail markdown={about} />}
      actions={
        <ActionPanel>
          <ActionPanel.Section>
            {controls.draft.trim() !== "" && <SendAction controls={controls} />}
            <Action title={action} icon={Icon.Eye} onAction={() => controls.openConversation(conversation)} />
          </ActionPanel.Section>
          <ChatActions controls={controls} />
        </ActionPanel>
      }
    />
  );
}

/** What can be done before there is a row. */
function FreshActions({ controls }: { controls: Controls }) {
  return (
    <ActionPanel>
      {controls.draft.trim() !== "" && (
        <ActionPanel.Section>
          <SendAction controls={controls} />
        </ActionPanel.Section>
      )}
      <ChatActions controls={controls} />
    </ActionPanel>
  );
}
