import { Icon, List, type Image } from "@raycast/api";
import { describeAnswer } from "../../lib/ask/conversations/export-conversation";
import { redactHere } from "../../hooks/redact-here";
import { redactFailure } from "../../lib/failure-details";
import { errorCodes, TorbizError, type ErrorCode } from "../../lib/errors";
import { shortened } from "../share/words";
import { tinted } from "../status-look";
import type { ChatState, Live } from "./chat";
import type { Controls } from "./controls";
import { TurnActions } from "./turn-actions";
import { turnMarkdown } from "./turn-text";
import { shownVersion, type Turn } from "./turns";

const TITLE_LENGTH = 80;

interface TurnRowProps {
  turn: Turn;
  /** Each render carries the text of every pane that is given: only the one that is looked at should be. */
  hasDetail: boolean;
  controls: Controls;
}

/** A question; its answer in the pane. */
export function TurnRow({ turn, hasDetail, controls }: TurnRowProps) {
  const live = controls.state.live?.turn === turn.id ? controls.state.live : undefined;
  const error = live ? undefined : failureOf(turn, controls.state);
  const look = lookOf(turn, live, error);
  const count = turn.versions.length;
  const version = `${shownVersion(turn) + 1} of ${count}`;
  return (
    <List.Item
      id={turn.id}
      title={questionTitle(turn.question)}
      icon={{ value: look.icon, tooltip: look.word }}
      accessories={live || count < 2 ? [] : [{ text: version, tooltip: `Version ${version}` }]}
      detail={
        hasDetail && (
          <List.Item.Detail
            markdown={turnMarkdown({
              question: turn.question,
              answer: live ? live.text : (turn.answer?.text ?? ""),
              stage: live && stageOf(live),
              error,
              note: live ? undefined : turn.answer?.ended ? describeAnswer(turn.answer) : undefined,
            })}
          />
        )
      }
      actions={<TurnActions turn={turn} isLive={live !== undefined} error={error} controls={controls} />}
    />
  );
}

/** A question on one line, as long as a row has room for. */
export function questionTitle(question: string): string {
  return shortened(question.trim().replaceAll(/\s+/g, " "), TITLE_LENGTH);
}

function stageOf({ isStopping, stage, text }: Live): string | undefined {
  if (isStopping) return "Stopping";
  return stage ?? (text === "" ? "Asking" : undefined);
}

/** Why an answer goes no further: as this window saw it, else as the conversation has it. */
function failureOf({ id, answer, unasked }: Turn, { failure }: ChatState): TorbizError | undefined {
  if (failure?.turn === id) return redactFailure(failure.error, redactHere());
  const error = unasked ?? (answer?.ended?.reason === "failed" ? answer.ended.error : undefined);
  if (!error) return undefined;
  const code = errorCodes.find((known): known is ErrorCode => known === error.code) ?? "ask-failed";
  return redactFailure(new TorbizError(code, error.message), redactHere());
}

function lookOf(
  { answer }: Turn,
  live: Live | undefined,
  error: TorbizError | undefined,
): { word: string; icon: Image.ImageLike } {
  if (live) return { word: "Answering", icon: tinted(Icon.CircleProgress50, "busy") };
  if (error?.code === "not-asked") return { word: "Not Asked", icon: tinted(Icon.Circle, "quiet") };
  if (error) return { word: "Failed", icon: tinted(Icon.XMarkCircle, "bad") };
  if (!answer) return { word: "Not Answered", icon: tinted(Icon.Circle, "quiet") };
  if (answer.ended?.reason === "stopped") return { word: "Stopped", icon: tinted(Icon.Stop, "warning") };
  return { word: "Answered", icon: tinted(Icon.Message, "quiet") };
}
