import { Toast, showToast } from "@raycast/api";
import { openEngine } from "../lib/context";
import type { Model } from "../lib/models";
import { share } from "../lib/sharing/share";
import { extensionSurroundings } from "./extension-surroundings";
import { refreshMenuBar } from "./refresh-menu-bar";
import { showFailure } from "./show-failure";

/** Shares a model in this computer's own swarm, with a toast that says how far it is. Never throws. */
export async function shareModel(model: Model): Promise<void> {
  const toast = await showToast({ style: Toast.Style.Animated, title: `Sharing ${model.title}` });
  try {
    const { adopted } = await share(await openEngine(extensionSurroundings()), {
      model: model.id,
      onProgress: ({ message, progress }) => {
        toast.message = progress === null ? message : `${message} (${Math.round(progress * 100)} %)`;
      },
    });
    await showToast({
      style: Toast.Style.Success,
      title: adopted ? `${model.title} was shared already` : `${model.title} is online`,
      message: "It goes on when you close this window",
    });
  } catch (error) {
    await showFailure(error);
  }
  await refreshMenuBar();
}
