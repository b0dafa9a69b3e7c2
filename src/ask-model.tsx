import { Action, ActionPanel, Icon, List } from "@raycast/api";
import { useState } from "react";
import { AnswerView } from "./components/answer-view";

export default function AskModel() {
  const [text, setText] = useState("");
  const prompt = text.trim();
  return (
    <List searchBarPlaceholder="Ask a question" filtering={false} onSearchTextChange={setText}>
      {prompt === "" ? (
        <List.EmptyView
          icon={Icon.Message}
          title="Ask a Question"
          description="The model that you share answers, or the one you shared last."
        />
      ) : (
        <List.Item
          title={prompt}
          icon={Icon.Message}
          actions={
            <ActionPanel>
              <Action.Push title="Ask" icon={Icon.ArrowRight} target={<AnswerView prompt={prompt} />} />
            </ActionPanel>
          }
        />
      )}
    </List>
  );
}
