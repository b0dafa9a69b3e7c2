import { closeFence } from "../../lib/ask/conversations/export-conversation";
import type { TorbizError } from "../../lib/errors";
import { asTyped, quoted } from "./as-typed";

/** What a turn shows in the pane. */
export interface TurnText {
  question: string;
  /** The model's Markdown. */
  answer: string;
  /** While it is on its way: what is being done. */
  stage?: string;
  /** Why it goes no further. */
  error?: Pick<TorbizError, "title" | "message" | "hint">;
  /** How it was computed. */
  note?: string;
}

/** A question as it was typed, its answer, and what there is to say of it, as Markdown. */
export function turnMarkdown({ question, answer, stage, error, note }: TurnText): string {
  return [
    quoted(question),
    closeFence(answer),
    stage && `*${asTyped(stage)}…*`,
    error && `**${error.title}**\n\n${error.message} ${error.hint}`,
    note && `---\n\n*${asTyped(note)}*`,
  ]
    .filter(Boolean)
    .join("\n\n");
}
