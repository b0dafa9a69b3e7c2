import { useEffect, useState } from "react";
import { runningGenerations } from "../lib/ask/ask";
import type { ConversationStore } from "../lib/ask/conversations/store";
import type { Surroundings } from "../lib/context";

const LOOK_MS = 2_000;

/** A conversation that is being answered. */
export interface RunningAnswer {
  conversation: string;
  title: string;
}

/**
 * The conversations that are answered now, whoever asked.
 *
 * @param isWanted looks while it is true
 *
 * @example
 * const running = useRunningAnswers(surroundings, store, turns.length === 0);
 */
export function useRunningAnswers(
  surroundings: Surroundings,
  store: ConversationStore,
  isWanted: boolean,
): readonly RunningAnswer[] {
  const [running, setRunning] = useState<readonly RunningAnswer[]>([]);
  useEffect(() => {
    let ended = false;
    let timer: NodeJS.Timeout | undefined;
    const look = async () => {
      const found = await findRunning(surroundings, store).catch(() => []);
      if (ended) return;
      setRunning((before) => (JSON.stringify(before) === JSON.stringify(found) ? before : found));
      timer = setTimeout(() => void look(), LOOK_MS);
    };
    if (isWanted) void look();
    return () => {
      ended = true;
      clearTimeout(timer);
    };
  }, [surroundings, store, isWanted]);
  return isWanted ? running : [];
}

async function findRunning(surroundings: Surroundings, store: ConversationStore): Promise<RunningAnswer[]> {
  const ids = new Set((await runningGenerations(surroundings)).map(({ conversation }) => conversation));
  const titled = [...ids].map(async (conversation) => {
    const { title } = await store.read(conversation).catch(() => ({ title: undefined }));
    return title === undefined ? [] : [{ conversation, title }];
  });
  return (await Promise.all(titled)).flat();
}
