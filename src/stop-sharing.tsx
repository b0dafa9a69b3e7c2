import { Toast, showHUD, showToast, type LaunchProps } from "@raycast/api";
import { nothingToStop, stopText } from "./components/stop-text";
import { extensionSurroundings } from "./hooks/extension-surroundings";
import { refreshMenuBar } from "./hooks/refresh-menu-bar";
import { showFailure } from "./hooks/show-failure";
import { openEngine } from "./lib/context";
import { toTorbizError } from "./lib/errors";
import { stopSharing } from "./lib/sharing/stop";

/** @param launchContext `now` kills at once, without telling peers */
export default async function StopSharing({ launchContext }: LaunchProps<{ launchContext?: { now?: boolean } }>) {
  const toast = await showToast({ style: Toast.Style.Animated, title: "Stopping" });
  try {
    const result = await stopSharing(await openEngine(extensionSurroundings()), {
      now: launchContext?.now === true,
      onProgress: ({ message }) => {
        toast.message = message;
      },
    });
    await refreshMenuBar();
    // Raycast ends the command with its HUD: nothing may be left to do.
    await showHUD(stopText(result));
  } catch (error) {
    await refreshMenuBar();
    const nothing = nothingToStop(toTorbizError(error));
    await (nothing ? showHUD(nothing) : showFailure(error));
  }
}
