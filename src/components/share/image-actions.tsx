import { Action, ActionPanel, Alert, Icon, confirmAlert } from "@raycast/api";
import type { EngineContext } from "../../lib/context";
import type { ImageState } from "../../lib/docker/build/state";
import type { Controls } from "./controls";

interface ImageActionsProps {
  context: EngineContext;
  image: ImageState;
  controls: Controls;
  /** There is a container of the old image, which has to go first. */
  hasContainer?: boolean;
}

/** What can be done about the image, where there is one. */
export function ImageActions({ context, image, controls, hasContainer = false }: ImageActionsProps) {
  const { build, sharing } = controls;
  const rebuild = async () => {
    const confirmed = await confirmAlert({
      title: "Rebuild the Image?",
      message: `Every step is done anew, which takes some minutes.${hasContainer ? " What is shared is stopped first." : ""}`,
      primaryAction: { title: "Rebuild Image", style: Alert.ActionStyle.Destructive },
    });
    if (!confirmed) return;
    if (hasContainer) await sharing.stop(context);
    await build.build(context, { force: true });
  };
  return (
    <ActionPanel.Section>
      {image === "outdated" && !hasContainer && (
        <Action title="Update Image" icon={Icon.ArrowUpCircle} onAction={() => build.build(context)} />
      )}
      <Action title="Rebuild Image" icon={Icon.Hammer} onAction={rebuild} />
    </ActionPanel.Section>
  );
}
