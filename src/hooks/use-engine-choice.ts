import { getPreferenceValues } from "@raycast/api";
import { useCallback, useState } from "react";
import type { Asking } from "../components/ask/chat";
import { readAskSettings, rememberAskSettings } from "../lib/ask/ask-settings";
import type { EngineChoice } from "../lib/ask/engine-choice";
import { keyFor } from "../lib/ask/found-servers";
import type { Surroundings } from "../lib/context";

interface UseEngineChoice {
  /** What answers; undefined until a person has chosen. */
  choice?: EngineChoice;
  /** Chooses for now and for the next time. */
  choose: (choice: EngineChoice) => void;
}

/** What answers: what was asked last, else the server of the preferences. */
export function useEngineChoice({ paths }: Surroundings): UseEngineChoice {
  const [choice, setChoice] = useState(() => readAskSettings(paths).lastChoice ?? preferredServer());
  const choose = useCallback(
    (wanted: EngineChoice) => {
      rememberAskSettings(paths, { lastChoice: wanted });
      setChoice(wanted);
    },
    [paths],
  );
  return { choice, choose };
}

/** What goes with a question to that engine, by the preferences. */
export function askingWith(choice: EngineChoice): Asking {
  const { serverUrl, serverKey, instructions, keepLoaded } = getPreferenceValues<Preferences.AskModel>();
  return {
    choice,
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
