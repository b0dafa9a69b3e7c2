import type { LaunchProps } from "@raycast/api";
import { AskModelView } from "./components/ask/ask-model-view";

/** The prompt is an argument, or what was typed before the command was chosen as a fallback. */
export default function AskModel({
  arguments: { prompt },
  fallbackText,
}: LaunchProps<{ arguments: Arguments.AskModel }>) {
  return <AskModelView prompt={prompt?.trim() || fallbackText?.trim() || undefined} />;
}
