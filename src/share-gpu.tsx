import type { LaunchProps } from "@raycast/api";
import { ShareGpuList } from "./components/share/share-gpu-list";

interface ShareGpuProps {
  arguments: Arguments.ShareGpu;
  launchContext?: { view?: "logs" };
}

/** @param launchContext `view` opens more than the list: the log over it */
export default function ShareGpu({ arguments: { model }, launchContext }: LaunchProps<ShareGpuProps>) {
  return <ShareGpuList model={model?.trim() || undefined} isLogWanted={launchContext?.view === "logs"} />;
}
