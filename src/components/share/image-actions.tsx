import { Action, ActionPanel, Alert, Icon, confirmAlert } from "@raycast/api";
import type { EngineContext } from "../../lib/context";
import type { ImageState } from "../../lib/docker/build/state";
import type { Controls } from "./controls";

interface ImageActionsProps {
  context: EngineContext;
  image: ImageState;
  controls: Controls;
  /** There is a container of the old image, which has to go first: one that runs, or one that ended. */
  container?: "running" | "ended";
}

/** What can be done about the image, where there is one. */
export function ImageActions({ context, image, controls, container }: ImageActionsProps) {
  const { build, sharing } = controls;
  const rebuild = async () => {
    const confirmed = await confirmAlert({
      title: "Rebuild the Image?",
      message: `Every step runs again, which takes some minutes.${container === "running" ? " What is shared is stopped first." : ""}`,
      primaryAction: { title: "Rebuild Image", style: Alert.ActionStyle.Destructive },
    });
    if (!confirmed) return;
    if (container) await sharing.stop(context);
    await build.build(context, { force: true });
  };
  return (
    <ActionPanel.Section>
      {image === "outdated" && !container && (
        <Action title="Update Image" icon={Icon.ArrowUpCircle} onAction={() => build.build(context)} />
      )}
      <Action title="Rebuild Image" icon={Icon.Hammer} onAction={rebuild} />
    </ActionPanel.Section>
  );
}
