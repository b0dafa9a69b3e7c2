import type { LaunchProps } from "@raycast/api";
import { ShareGpuList } from "./components/share/share-gpu-list";
import { isInvite } from "./lib/sharing/invite";

interface ShareGpuProps {
  arguments: Arguments.ShareGpu;
  launchContext?: { view?: "logs" };
}

/**
 * @param model or an invite; as a fallback command it takes an invite that was typed into the launcher
 * @param launchContext `view` opens more than the list: the log over it
 */
export default function ShareGpu({
  arguments: { model },
  launchContext,
  fallbackText = "",
}: LaunchProps<ShareGpuProps>) {
  const wanted = model?.trim() || (isInvite(fallbackText) ? fallbackText : undefined);
  return <ShareGpuList wanted={wanted} isLogWanted={launchContext?.view === "logs"} />;
}
