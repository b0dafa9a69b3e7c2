import type { LaunchProps } from "@raycast/api";
import { ShareGpuList } from "./components/share/share-gpu-list";

export default function ShareGpu({ arguments: { model } }: LaunchProps<{ arguments: Arguments.ShareGpu }>) {
  return <ShareGpuList model={model?.trim() || undefined} />;
}
