import { Toast, showToast } from "@raycast/api";
import { useCallback, useRef, useState } from "react";
import type { EngineContext } from "../lib/context";
import { toTorbizError, type TorbizError } from "../lib/errors";
import type { Model } from "../lib/models";
import type { Progress } from "../lib/progress";
import { share, type ShareOptions } from "../lib/sharing/share";
import { stopSharing } from "../lib/sharing/stop";
import { refreshMenuBar } from "./refresh-menu-bar";
import { sharePreferences } from "./share-preferences";
import { showFailure } from "./show-failure";

/** What a person chose to share; what is left open comes from the preferences. */
export interface ShareChoice extends Pick<ShareOptions, "swarm" | "blocks" | "port"> {
  model: Model;
}

/** A start that this window began. */
export interface Start {
  choice: ShareChoice;
  /** The last that was heard of it. */
  progress?: Progress;
  /** Why it came to nothing; it stays until the next start or until it is cleared. */
  error?: TorbizError;
}

export interface ShareJobs {
  start?: Start;
  isStopping: boolean;
  share: (context: EngineContext, choice: ShareChoice) => Promise<void>;
  stop: (context: EngineContext, options?: { now?: boolean }) => Promise<void>;
  /** Forgets a start that failed. */
  clearStart: () => void;
}

/**
 * Starting and stopping, each with a toast that says how far it is and how it ended. One start at a time; a stop ends a
 * start that runs.
 *
 * @param refresh looks at what is shared now
 *
 * @example
 * const { start, share, stop } = useShareJobs(refresh);
 */
export function useShareJobs(refresh: () => Promise<void>): ShareJobs {
  const [start, setStart] = useState<Start>();
  const [isStopping, setStopping] = useState(false);
  const running = useRef<"start" | "stop">(undefined);

  const startSharing = useCallback(
    async (context: EngineContext, choice: ShareChoice) => {
      if (running.current) return;
      running.current = "start";
      const { title } = choice.model;
      setStart({ choice });
      const toast = await showToast({ style: Toast.Style.Animated, title: `Starting ${title}` });
      // Who stops a start knows why it ends, and is told by the stop.
      const isOver = () => running.current !== "start";
      let failure: TorbizError | undefined;
      try {
        const { adopted } = await share(context, {
          ...sharePreferences(),
          ...choice,
          model: choice.model.id,
          onProgress: (progress) => {
            if (isOver()) return;
            toast.message = progress.message;
            setStart({ choice, progress });
          },
        });
        if (!isOver()) {
          await showToast({
            style: Toast.Style.Success,
            title: adopted ? `${title} Is Shared Already` : `${title} Is Online`,
            message: "It goes on when you close this window.",
          });
        }
      } catch (error) {
        if (!isOver()) failure = toTorbizError(error);
      }
      if (failure) await showFailure(failure);
      await refresh();
      setStart(failure && { choice, error: failure });
      if (!isOver()) running.current = undefined;
      await refreshMenuBar();
    },
    [refresh],
  );

  const stop = useCallback(
    async (context: EngineContext, { now = false } = {}) => {
      if (running.current === "stop" && !now) return;
      running.current = "stop";
      setStopping(true);
      const toast = await showToast({ style: Toast.Style.Animated, title: "Stopping" });
      try {
        const { message, forced } = await stopSharing(context, {
          now,
          onProgress: ({ message }) => {
            toast.message = message;
          },
        });
        const style = forced && !now ? Toast.Style.Failure : Toast.Style.Success;
        await showToast({ style, title: message });
      } catch (error) {
        await showFailure(error);
      }
      await refresh();
      setStart(undefined);
      setStopping(false);
      running.current = undefined;
      await refreshMenuBar();
    },
    [refresh],
  );

  return { start, isStopping, share: startSharing, stop, clearStart: () => setStart(undefined) };
}
