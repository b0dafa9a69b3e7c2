import { Toast, showHUD, showToast } from "@raycast/api";
import { extensionSurroundings } from "./hooks/extension-surroundings";
import { refreshMenuBar } from "./hooks/refresh-menu-bar";
import { showFailure } from "./hooks/show-failure";
import { openEngine } from "./lib/context";
import { stopSharing } from "./lib/sharing/stop";

export default async function StopSharing() {
  const toast = await showToast({ style: Toast.Style.Animated, title: "Stopping" });
  try {
    const { message } = await stopSharing(await openEngine(extensionSurroundings()), {
      onProgress: (progress) => {
        toast.message = progress.message;
      },
    });
    await refreshMenuBar();
    await showHUD(message);
  } catch (error) {
    await showFailure(error);
  }
}
