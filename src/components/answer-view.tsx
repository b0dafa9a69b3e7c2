import { Action, ActionPanel, Detail, Icon } from "@raycast/api";
import { useAnswer } from "../hooks/use-answer";

/** A question and its answer, as it comes. */
export function AnswerView({ prompt }: { prompt: string }) {
  const { text, stage, error, isLoading, retry } = useAnswer(prompt);
  const note = error ? `**${error.title}**\n\n${error.message} ${error.hint}` : text ? "" : `*${stage ?? "Asking"}…*`;
  const url = error?.action?.url;
  return (
    <Detail
      navigationTitle={prompt}
      isLoading={isLoading}
      markdown={[text, note].filter(Boolean).join("\n\n")}
      actions={
        <ActionPanel>
          {text && <Action.CopyToClipboard title="Copy Answer" content={text} />}
          {url && <Action.OpenInBrowser title={error?.action?.title} url={url} />}
          {!isLoading && <Action title="Ask Again" icon={Icon.ArrowClockwise} onAction={retry} />}
        </ActionPanel>
      }
    />
  );
}
