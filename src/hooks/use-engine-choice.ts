import { getPreferenceValues } from "@raycast/api";
import { useCallback, useEffect, useMemo, useState } from "react";
import type { Asking } from "../components/ask/chat";
import { readAskSettings, rememberAskSettings } from "../lib/ask/ask-settings";
import { choiceOf, requireEngine } from "../lib/ask/conversation-engine";
import type { EngineChoice, EngineNote } from "../lib/ask/engine-choice";
import { keyFor } from "../lib/ask/found-servers";
import type { Surroundings } from "../lib/context";
import { toTorbizError, type TorbizError } from "../lib/errors";
import type { Paths } from "../lib/paths";

interface UseEngineChoice {
  /** What answers; undefined until a person has chosen, and where what answered in the conversation is gone. */
  choice?: EngineChoice;
  /** What answered in the conversation, and why it can't any more. */
  gone?: Gone;
  /** Chooses for the conversation that is shown, and for new ones. */
  choose: (choice: EngineChoice) => void;
  /** Another conversation is shown, or a new one: what was chosen for this one is no longer meant. */
  forget: () => void;
}

/** An engine that was there once. */
export interface Gone {
  choice: EngineChoice;
  title: string;
  error: TorbizError;
}

/**
 * What answers: what was chosen for the conversation that is shown, else what answered in it, else what was asked last,
 * else the server of the preferences.
 *
 * @param lastEngine what answered last in the conversation that is shown
 */
export function useEngineChoice({ paths }: Surroundings, lastEngine: EngineNote | undefined): UseEngineChoice {
  const [usual, setUsual] = useState(() => usualChoice(paths));
  const [chosen, setChosen] = useState<EngineChoice>();
  const own = useOwnChoice(paths, lastEngine);
  const choose = useCallback(
    (wanted: EngineChoice) => {
      rememberAskSettings(paths, { lastChoice: wanted });
      setChosen(wanted);
    },
    [paths],
  );
  const forget = useCallback(() => {
    setUsual(usualChoice(paths));
    setChosen(undefined);
  }, [paths]);
  if (chosen) return { choice: chosen, choose, forget };
  if (own?.error) return { gone: { ...own, error: own.error }, choose, forget };
  return { choice: own?.choice ?? usual, choose, forget };
}

/** What answered in a conversation; with an error where that is gone. */
function useOwnChoice(
  paths: Paths,
  lastEngine: EngineNote | undefined,
): (Omit<Gone, "error"> & Partial<Gone>) | undefined {
  // Each reading of a conversation gives another object for the same engine.
  const key = lastEngine && JSON.stringify(lastEngine);
  const [failed, setFailed] = useState<{ key: string; error: TorbizError }>();
  useEffect(() => {
    let isOver = false;
    if (key === undefined) return;
    requireEngine(paths, JSON.parse(key) as EngineNote).catch((error: unknown) => {
      if (!isOver) setFailed({ key, error: toTorbizError(error) });
    });
    return () => {
      isOver = true;
      setFailed(undefined);
    };
  }, [paths, key]);
  return useMemo(() => {
    if (key === undefined) return undefined;
    const note = JSON.parse(key) as EngineNote;
    const choice = choiceOf(note, readAskSettings(paths).lastChoice);
    return { choice, title: note.title, ...(failed?.key === key && { error: failed.error }) };
  }, [paths, key, failed]);
}

function usualChoice(paths: Paths): EngineChoice | undefined {
  return readAskSettings(paths).lastChoice ?? preferredServer();
}

/** What goes with a question to that engine, by the preferences. */
export function askingWith(choice: EngineChoice): Asking {
  const { serverUrl, serverKey, huggingFaceToken, instructions, keepLoaded } =
    getPreferenceValues<Preferences.AskModel>();
  return {
    choice,
    token: huggingFaceToken?.trim() || undefined,
    apiKey: keyFor(choice, { key: serverKey, address: serverUrl }),
    idleMinutes: Number(keepLoaded),
    ...(instructions?.trim() && { system: instructions.trim() }),
  };
}

/** The server of the preferences; undefined where none is set. */
export function preferredServer(): Extract<EngineChoice, { kind: "server" }> | undefined {
  const baseUrl = getPreferenceValues<Preferences.AskModel>().serverUrl?.trim();
  return baseUrl ? { kind: "server", baseUrl } : undefined;
}
