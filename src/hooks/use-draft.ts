import { Cache } from "@raycast/api";
import { useCallback, useState } from "react";

const KEY = "draft";

/**
 * What was typed and not sent yet: it is there again when the window was closed meanwhile.
 *
 * @example
 * const [draft, setDraft] = useDraft();
 */
export function useDraft(): [draft: string, setDraft: (text: string) => void] {
  const [cache] = useState(() => new Cache({ namespace: "ask" }));
  const [draft, setDraft] = useState(() => cache.get(KEY) ?? "");
  const keep = useCallback(
    (text: string) => {
      setDraft(text);
      if (text === "") cache.remove(KEY);
      else cache.set(KEY, text);
    },
    [cache],
  );
  return [draft, keep];
}
