import { Toast, showToast } from "@raycast/api";
import { useCallback, useRef, useState } from "react";
import type { EngineContext } from "../lib/context";
import { toTorbizError, type TorbizError } from "../lib/errors";
import type { Model } from "../lib/models";
import type { Progress } from "../lib/progress";
import { finishSharing } from "../lib/sharing/finish";
import { share, type ShareOptions } from "../lib/sharing/share";
import { stopSharing } from "../lib/sharing/stop";
import { refreshMenuBar, showMenuBar } from "./refresh-menu-bar";
import { sharePreferences } from "./share-preferences";
import { showFailure } from "./show-failure";

/** What a person chose to share; what is left open comes from the preferences. */
export interface ShareChoice extends Pick<ShareOptions, "swarm" | "blocks" | "port" | "lan"> {
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
  /** Lets answers on their way come to their end, then stops. It goes on when the window closes. */
  finish: (context: EngineContext) => Promise<void>;
  /** Forgets a start that failed. */
  clearStart: () => void;
}

/** The job that may change what the window shows, and its toasts; one whose place was taken ends in silence. */
interface Job {
  kind: "start" | "finish" | "stop";
  /** When it is over, however it ended. */
  ended: Promise<void>;
}

/**
 * Starting, finishing and stopping, each with a toast that says how far it is and how it ended. One start at a time: a
 * stop takes the place of a start or finish that runs, and a start waits for these. The menu bar is shown from the first stage on, as all of it
 * goes on when the window closes.
 *
 * @param refresh looks at what is shared now
 *
 * @example
 * const { start, share, stop } = useShareJobs(refresh);
 */
export function useShareJobs(refresh: () => Promise<void>): ShareJobs {
  const [start, setStart] = useState<Start>();
  const [isStopping, setStopping] = useState(false);
  const owner = useRef<Job>(undefined);

  /** Runs what takes the place of the job that runs now. */
  const run = useCallback((kind: Job["kind"], work: (isOwner: () => boolean) => Promise<void>) => {
    const job: Job = { kind, ended: Promise.resolve() };
    owner.current = job;
    job.ended = work(() => owner.current === job).finally(() => {
      if (owner.current === job) owner.current = undefined;
    });
    return job.ended;
  }, []);

  const startSharing = useCallback(
    async (context: EngineContext, choice: ShareChoice) => {
      while (owner.current && owner.current.kind !== "start") await owner.current.ended;
      if (owner.current) return;
      await run("start", async (isOwner) => {
        const { title } = choice.model;
        setStart({ choice });
        const toast = await showToast({ style: Toast.Style.Animated, title: `Starting ${title}` });
        let stage = "";
        const onProgress = (progress: Progress) => {
          if (!isOwner()) return;
          toast.message = progress.message;
          setStart({ choice, progress });
          if (progress.stage !== stage) void showMenuBar();
          stage = progress.stage;
        };
        let failure: TorbizError | undefined;
        try {
          const wanted = { ...sharePreferences(), ...choice, model: choice.model.id };
          const { adopted } = await share(context, { ...wanted, onProgress });
          if (!isOwner()) return;
          await showToast({
            style: Toast.Style.Success,
            title: adopted ? `${title} Is Shared Already` : `${title} Is Online`,
            message: "It goes on when you close this window.",
          });
        } catch (error) {
          // Who stops a start knows why it ends, and is told by the stop.
          if (!isOwner()) return;
          failure = toTorbizError(error);
          await showFailure(failure);
        }
        await refresh();
        if (isOwner()) setStart(failure && { choice, error: failure });
        await refreshMenuBar();
      });
    },
    [refresh, run],
  );

  const stop = useCallback(
    async (context: EngineContext, { now = false } = {}) => {
      if (owner.current?.kind === "stop" && !now) return owner.current.ended;
      await run("stop", async (isOwner) => {
        setStopping(true);
        const toast = await showToast({ style: Toast.Style.Animated, title: "Stopping" });
        const onProgress = ({ message }: Progress) => {
          if (isOwner()) toast.message = message;
        };
        try {
          const { message, forced } = await stopSharing(context, { now, onProgress });
          if (!isOwner()) return;
          const style = forced && !now ? Toast.Style.Failure : Toast.Style.Success;
          await showToast({ style, title: message });
        } catch (error) {
          if (!isOwner()) return;
          await showFailure(error);
        }
        await refresh();
        if (!isOwner()) return;
        setStart(undefined);
        setStopping(false);
        await refreshMenuBar();
      });
    },
    [refresh, run],
  );

  const finish = useCallback(
    async (context: EngineContext) => {
      if (owner.current && owner.current.kind !== "start") return owner.current.ended;
      await run("finish", async (isOwner) => {
        const toast = await showToast({ style: Toast.Style.Animated, title: "Finishing" });
        const onProgress = ({ message }: Progress) => {
          if (isOwner()) toast.title = message;
        };
        try {
          const { message } = await finishSharing(context, { onProgress });
          if (!isOwner()) return;
          await showToast({ style: Toast.Style.Success, title: message });
        } catch (error) {
          if (!isOwner()) return;
          await showFailure(error);
        }
        await refresh();
        await refreshMenuBar();
      });
    },
    [refresh, run],
  );

  return { start, isStopping, share: startSharing, stop, finish, clearStart: () => setStart(undefined) };
}
