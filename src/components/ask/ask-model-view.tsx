import { useMemo, useState } from "react";
import { extensionSurroundings } from "../../hooks/extension-surroundings";
import type { Surroundings } from "../../lib/context";
import { toTorbizError, type TorbizError } from "../../lib/errors";
import { FailureEmptyView } from "../failure-empty-view";
import { AskList } from "./ask-list";
import { List } from "@raycast/api";

/** Ask Model, or why it can't even begin, such as a home folder that can't be written. */
export function AskModelView({ prompt }: { prompt?: string }) {
  const [attempt, setAttempt] = useState(0);
  const opened = useMemo(() => open(), [attempt]);
  if (opened.surroundings) return <AskList surroundings={opened.surroundings} prompt={prompt} />;
  return (
    <List>
      <FailureEmptyView error={opened.error} onRetry={() => setAttempt((count) => count + 1)} />
    </List>
  );
}

function open(): { surroundings: Surroundings; error?: undefined } | { surroundings?: undefined; error: TorbizError } {
  try {
    return { surroundings: extensionSurroundings() };
  } catch (error) {
    return { error: toTorbizError(error) };
  }
}
