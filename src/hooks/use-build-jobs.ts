import { Alert, Toast, confirmAlert, showToast } from "@raycast/api";
import { useCallback, useEffect, useRef, useState } from "react";
import { cancelBuild } from "../lib/docker/build/follow";
import { lastBuild } from "../lib/docker/build/last-build";
import { ensureImage } from "../lib/docker/build/image";
import { findDockerCli } from "../lib/docker/cli";
import type { EngineContext } from "../lib/context";
import { toTorbizError } from "../lib/errors";
import type { Overview } from "../lib/sharing/overview";
import { refreshMenuBar, showMenuBar } from "./refresh-menu-bar";
import { showFailure } from "./show-failure";

export interface BuildJobs {
  /** This window was asked for a build that has not come to an end. */
  isBuilding: boolean;
  /** @param options.force builds every step anew, whatever is there */
  build: (context: EngineContext, options?: { force?: boolean }) => Promise<void>;
  cancel: (context: EngineContext) => Promise<void>;
}

/**
 * Building the image. A build is a process of its own: it goes on when the window closes, and the end of any build is
 * told in a toast, whoever started it. The menu bar is shown as soon as it runs.
 *
 * @param overview the last look
 * @param refresh looks again
 *
 * @example
 * const { build, cancel } = useBuildJobs(overview, refresh);
 */
export function useBuildJobs(overview: Overview | undefined, refresh: () => Promise<void>): BuildJobs {
  const [isBuilding, setBuilding] = useState(false);
  useBuildEnd(overview, isBuilding);

  const build = useCallback(
    async (context: EngineContext, { force = false } = {}) => {
      setBuilding(true);
      let hasBegun = false;
      const onProgress = () => {
        if (hasBegun) return;
        hasBegun = true;
        void showMenuBar();
        // Where all steps are kept from last time, it has ended before the next look.
        void refresh();
      };
      try {
        await ensureImage({ ...context, cliPath: () => findDockerCli(context), force, onProgress });
      } catch (failure) {
        const error = toTorbizError(failure);
        // A build that began tells its end itself.
        if (!("log" in (error.details ?? {})) && error.code !== "build-cancelled") await showFailure(error);
      }
      await refresh();
      setBuilding(false);
    },
    [refresh],
  );

  const cancel = useCallback(
    async (context: EngineContext) => {
      const confirmed = await confirmAlert({
        title: "Cancel the Build?",
        message: "Finished steps are kept: a later build goes on from there.",
        primaryAction: { title: "Cancel Build", style: Alert.ActionStyle.Destructive },
        dismissAction: { title: "Keep Building" },
      });
      if (!confirmed) return;
      try {
        await cancelBuild(context.paths, context.names);
      } catch (error) {
        await showFailure(error);
      }
      await refresh();
    },
    [refresh],
  );

  return { isBuilding, build, cancel };
}

/** Tells when a build ends that the first look did not know as ended. */
function useBuildEnd(overview: Overview | undefined, isBuilding: boolean): void {
  const known = useRef<string>(undefined);
  const latest = useRef(overview);
  latest.current = overview;
  const screen = overview?.screen;

  // Not at each look: a build's log may have a megabyte.
  useEffect(() => {
    const overview = latest.current;
    if (!overview || overview.screen === "gate") return;
    if (overview.screen === "building") {
      known.current ??= "";
      return;
    }
    const { paths, names } = overview.context;
    const ended = lastBuild(paths, names);
    const at = ended?.at ?? "";
    const isNew = known.current !== undefined && known.current !== at;
    known.current = at;
    if (!ended || !isNew) return;
    if (ended.outcome === "done") void showToast({ style: Toast.Style.Success, title: "The Image Is Built" });
    else if (ended.outcome === "cancelled") {
      void showToast({
        style: Toast.Style.Success,
        title: "The Build Was Cancelled",
        message: "Finished steps are kept.",
      });
    } else if (ended.error) void showFailure(ended.error);
    void refreshMenuBar();
  }, [screen, isBuilding]);
}
