import { Action, ActionPanel, Alert, Clipboard, Icon, List, confirmAlert, showHUD, useNavigation } from "@raycast/api";
import { usePromise } from "@raycast/utils";
import { useRef, useState } from "react";
import { exportFile } from "../../hooks/export-file";
import { showFailure } from "../../hooks/show-failure";
import { runningGenerations, stopGeneration } from "../../lib/ask/ask";
import type { ConversationSummary } from "../../lib/ask/conversations/conversation";
import { toJson, toMarkdown } from "../../lib/ask/conversations/export-conversation";
import { count } from "../share/words";
import { tinted } from "../status-look";
import { agoText } from "../time-text";
import type { Controls } from "./controls";
import { RenameForm } from "./rename-form";
import { SHORTCUTS } from "./shortcuts";

/** More than that no person reads in a list. */
const SHOWN = 200;

interface Row extends ConversationSummary {
  /** Where a search found its words. */
  excerpt?: string;
}

/** All conversations, newest first; the field searches in what was asked and answered. */
export function ConversationsList({ controls }: { controls: Controls }) {
  const { surroundings, store, chat } = controls;
  const { pop } = useNavigation();
  const [search, setSearch] = useState("");
  const searching = useRef<AbortController>(undefined);
  const { data, isLoading, revalidate } = usePromise(
    async (text: string): Promise<Row[]> => {
      if (text.trim() === "") return store.list({ limit: SHOWN });
      const hits = await store.search(text, { limit: SHOWN, signal: searching.current?.signal });
      return hits.map((hit) => ({ ...hit, excerpt: hit.matches[0]?.excerpt }));
    },
    [search],
    { abortable: searching, onError: showFailure },
  );
  const { data: running } = usePromise(() => runningGenerations(surroundings), []);
  const stopIn = async (id?: string) => {
    const theirs = (await runningGenerations(surroundings)).filter(({ conversation }) => !id || conversation === id);
    await Promise.all(theirs.map((generation) => stopGeneration(surroundings, generation.id)));
  };
  const remove = async (row: Row) => {
    const confirmed = await confirmAlert({
      title: `Delete “${row.title}”?`,
      message: "Its questions and answers are erased from this computer.",
      primaryAction: { title: "Delete", style: Alert.ActionStyle.Destructive },
    });
    if (!confirmed) return;
    await orFailure(async () => {
      await stopIn(row.id);
      await store.remove(row.id);
      if (chat.snapshot().conversation?.id === row.id) controls.startNew();
    });
    revalidate();
  };
  const removeAll = async () => {
    const confirmed = await confirmAlert({
      title: "Delete All Conversations?",
      message: "All questions and answers are erased from this computer.",
      primaryAction: { title: "Delete All", style: Alert.ActionStyle.Destructive },
    });
    if (!confirmed) return;
    await orFailure(async () => {
      await stopIn();
      await store.removeAll();
      controls.startNew();
    });
    revalidate();
  };
  return (
    <List
      isLoading={isLoading}
      navigationTitle="Conversations"
      searchBarPlaceholder="Search questions and answers"
      filtering={false}
      throttle
      onSearchTextChange={setSearch}
    >
      {!isLoading && (
        <List.EmptyView
          icon={Icon.Message}
          title={search.trim() === "" ? "No Conversations" : "Nothing Found"}
          description={search.trim() === "" ? "They are kept here as you ask." : "No question and no answer has this."}
        />
      )}
      {data?.map((row) => {
        const isAnswering = running?.some(({ conversation }) => conversation === row.id);
        return (
          <List.Item
            key={row.id}
            id={row.id}
            icon={isAnswering ? tinted(Icon.CircleProgress50, "busy") : Icon.Message}
            title={row.title}
            subtitle={row.excerpt ?? row.lastEngine?.title}
            accessories={[
              ...(isAnswering ? [{ text: "Answering" }] : []),
              { text: count(row.turns, "question") },
              { text: agoText(row.changedAt), tooltip: row.changedAt },
            ]}
            actions={
              <ActionPanel>
                <ActionPanel.Section>
                  <Action
                    title="Open"
                    icon={Icon.ArrowRight}
                    onAction={() => {
                      pop();
                      void controls.openConversation(row.id);
                    }}
                  />
                  <Action.Push
                    title="Rename…"
                    icon={Icon.Pencil}
                    shortcut={SHORTCUTS.edit}
                    target={
                      <RenameForm
                        title={row.title}
                        onSubmit={async (title) => {
                          await orFailure(() => store.rename(row.id, title));
                          revalidate();
                          await orFailure(() => chat.refresh());
                        }}
                      />
                    }
                  />
                </ActionPanel.Section>
                <ActionPanel.Section>
                  <Action
                    title="Copy as Markdown"
                    icon={Icon.CopyClipboard}
                    shortcut={SHORTCUTS.copyAnswer}
                    onAction={() =>
                      orFailure(async () => {
                        await Clipboard.copy(toMarkdown(await store.read(row.id)));
                        await showHUD("Copied Conversation");
                      })
                    }
                  />
                  <Action
                    title="Export as Markdown"
                    icon={Icon.Download}
                    shortcut={SHORTCUTS.save}
                    onAction={() => orFailure(async () => save(toMarkdown(await store.read(row.id)), ".md"))}
                  />
                  <Action
                    title="Export as JSON"
                    icon={Icon.Download}
                    onAction={() => orFailure(async () => save(toJson(await store.read(row.id)), ".json"))}
                  />
                </ActionPanel.Section>
                <ActionPanel.Section>
                  <Action
                    title="Delete"
                    icon={Icon.Trash}
                    style={Action.Style.Destructive}
                    shortcut={SHORTCUTS.remove}
                    onAction={() => remove(row)}
                  />
                  <Action
                    title="Delete All"
                    icon={Icon.Trash}
                    style={Action.Style.Destructive}
                    shortcut={SHORTCUTS.removeAll}
                    onAction={removeAll}
                  />
                </ActionPanel.Section>
              </ActionPanel>
            }
          />
        );
      })}
    </List>
  );
}

async function orFailure(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    await showFailure(error);
  }
}

function save(text: string, extension: string): Promise<void> {
  return exportFile([text], { name: "torbiz-conversation", extension, done: "Conversation Exported" });
}
