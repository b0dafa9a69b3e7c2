import { useEffect, useState } from "react";
import { ask } from "../lib/ask/old-ask";
import { toTorbizError, type TorbizError } from "../lib/errors";
import { findSwarmTarget } from "../lib/sharing/swarm-target";
import { extensionSurroundings } from "./extension-surroundings";

/** A view can't take more renders, each of which carries the whole text. */
const PAINT_MS = 50;

interface Answer {
  text: string;
  /** What is being done before the first word. */
  stage?: string;
  error?: TorbizError;
  isLoading: boolean;
}

/**
 * Asks the swarm, and shows the answer as it comes. Ends the question when the view goes.
 *
 * @example
 * const { text, isLoading, retry } = useAnswer("What is the capital of France?");
 */
export function useAnswer(prompt: string): Answer & { retry: () => void } {
  const [attempt, setAttempt] = useState(0);
  const [answer, setAnswer] = useState<Answer>({ text: "", isLoading: true });

  useEffect(() => {
    const abort = new AbortController();
    const { signal } = abort;
    let latest: Answer = { text: "", isLoading: true };
    const paint = () => setAnswer(latest);
    const timer = setInterval(paint, PAINT_MS);
    const start = async () => {
      const surroundings = extensionSurroundings();
      await ask({
        surroundings,
        target: await findSwarmTarget(surroundings),
        prompt,
        onProgress: ({ message }) => {
          latest = { ...latest, stage: message };
        },
        onDelta: (text) => {
          latest = { ...latest, text: latest.text + text };
        },
        signal,
      });
    };
    start()
      .catch((error: unknown) => {
        latest = { ...latest, error: toTorbizError(error) };
      })
      .finally(() => {
        clearInterval(timer);
        latest = { ...latest, isLoading: false };
        if (!signal.aborted) paint();
      });
    return () => {
      clearInterval(timer);
      abort.abort();
    };
  }, [prompt, attempt]);

  return { ...answer, retry: () => setAttempt((count) => count + 1) };
}
