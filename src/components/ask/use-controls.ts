import { Toast, showToast } from "@raycast/api";
import { useCallback, useEffect, useMemo, useRef } from "react";
import { useChat } from "../../hooks/use-chat";
import { useDraft } from "../../hooks/use-draft";
import { askingWith, useEngineChoice } from "../../hooks/use-engine-choice";
import { useSetUp, type UseSetUp } from "../../hooks/use-set-up";
import { isChoiceDownloading } from "../../lib/ask/choice-download";
import { ConversationStore } from "../../lib/ask/conversations/store";
import type { EngineChoice } from "../../lib/ask/engine-choice";
import type { Surroundings } from "../../lib/context";
import type { Request } from "./chat";
import type { Controls } from "./controls";
import { engineKey, engineTitle } from "./engine-words";

/** All that Ask Model can do, over what the window shows. */
export function useControls(surroundings: Surroundings): Controls {
  const store = useMemo(() => new ConversationStore(surroundings.paths.conversations), [surroundings]);
  const { chat, state } = useChat(surroundings, store);
  const setUp = useSetUp(surroundings);
  const { choice, gone, choose: remember, forget } = useEngineChoice(surroundings, state.conversation?.lastEngine);
  useSetUpOnItsWay(surroundings, choice, setUp);
  const [draft, setDraft] = useDraft();
  // Views that were opened from here keep the functions of their moment: what those read must be of now.
  const now = useRef({ choice, draft });
  now.current = { choice, draft };
  /** What is typed before anything can answer is sent as soon as something can. */
  const isAwaited = useRef(false);

  const ask = useCallback(
    async (request: Request) => {
      const { choice: wanted } = now.current;
      if (!wanted) return explain("Choose What Answers First", "Press Enter on one of the rows.");
      if (chat.isAnswering) {
        return explain("The Answer Isn't Finished", "Wait for its end, or stop it.", {
          title: "Stop and Send",
          onAction: async () => {
            chat.stop();
            await chat.idle();
            await ask(request);
          },
        });
      }
      if (request.prompt !== undefined && request.edits === undefined) setDraft("");
      await chat.ask(request, askingWith(wanted));
    },
    [chat, setDraft],
  );

  const send = useCallback(
    async (prompt = now.current.draft) => {
      if (prompt.trim() === "") return explain("Nothing to Send Yet", "Type a question, then press Enter.");
      if (!now.current.choice || chat.isAnswering) setDraft(prompt);
      await ask({ prompt });
    },
    [ask, chat, setDraft],
  );

  const choose = useCallback(
    async (wanted: EngineChoice, options?: { fetchPython?: boolean }) => {
      if (now.current.choice === undefined) isAwaited.current = true;
      remember(wanted);
      now.current = { ...now.current, choice: wanted };
      const isReady = await setUp.start(wanted, engineTitle(wanted, surroundings.paths), options);
      if (!isReady || !isAwaited.current) return;
      isAwaited.current = false;
      if (now.current.draft.trim() !== "") await send();
    },
    [surroundings, remember, setUp, send],
  );

  const getPython = useCallback(
    async (request: Request) => {
      const { choice: wanted } = now.current;
      if (wanted && (await setUp.start(wanted, engineTitle(wanted, surroundings.paths), { fetchPython: true })))
        await ask(request);
    },
    [surroundings, setUp, ask],
  );

  const openConversation = useCallback(
    async (id: string) => {
      forget();
      await chat.open(id);
    },
    [chat, forget],
  );
  const startNew = useCallback(() => {
    forget();
    chat.startNew();
  }, [chat, forget]);
  return {
    ...{ surroundings, store, chat, state, setUp, draft, setDraft, choice, gone },
    ...{ send, ask, choose, getPython, openConversation, startNew },
  };
}

/** Shows the download of what answers, where an earlier window began it. */
function useSetUpOnItsWay(surroundings: Surroundings, choice: EngineChoice | undefined, setUp: UseSetUp): void {
  const now = useRef({ choice, setUp });
  now.current = { choice, setUp };
  const key = choice && engineKey(choice);
  useEffect(() => {
    let isOver = false;
    const look = async () => {
      const { choice: wanted } = now.current;
      if (!wanted || now.current.setUp.setUp || !(await isChoiceDownloading(surroundings, wanted))) return;
      if (!isOver && !now.current.setUp.setUp)
        await now.current.setUp.start(wanted, engineTitle(wanted, surroundings.paths));
    };
    void look();
    return () => {
      isOver = true;
    };
  }, [surroundings, key]);
}

async function explain(title: string, message: string, primaryAction?: Toast.ActionOptions): Promise<void> {
  await showToast({ style: Toast.Style.Failure, title, message, primaryAction });
}
