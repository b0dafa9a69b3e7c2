import { Toast, showHUD, showToast, type LaunchProps } from "@raycast/api";
import { nothingToStop, stopText } from "./components/stop-text";
import { extensionSurroundings } from "./hooks/extension-surroundings";
import { refreshMenuBar } from "./hooks/refresh-menu-bar";
import { showFailure } from "./hooks/show-failure";
import { openEngine } from "./lib/context";
import { toTorbizError } from "./lib/errors";
import type { Progress } from "./lib/progress";
import { finishSharing } from "./lib/sharing/finish";
import { stopSharing } from "./lib/sharing/stop";

/** How the menu bar wants it. */
interface StopContext {
  /** Kill at once, without telling peers. */
  now?: boolean;
  /** Let answers on their way come to their end. */
  finish?: boolean;
}

export default async function StopSharing({ launchContext }: LaunchProps<{ launchContext?: StopContext }>) {
  const toast = await showToast({ style: Toast.Style.Animated, title: "Stopping" });
  try {
    const context = await openEngine(extensionSurroundings());
    const onProgress = ({ message }: Progress) => {
      toast.message = message;
    };
    const result = launchContext?.finish
      ? await finishSharing(context, { follow: false, onProgress })
      : await stopSharing(context, { now: launchContext?.now === true, onProgress });
    await refreshMenuBar();
    // Raycast ends the command with its HUD: nothing may be left to do.
    await showHUD(stopText(result));
  } catch (error) {
    await refreshMenuBar();
    const nothing = nothingToStop(toTorbizError(error));
    await (nothing ? showHUD(nothing) : showFailure(error));
  }
}
