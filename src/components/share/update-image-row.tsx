import { Action, Icon } from "@raycast/api";
import type { EngineContext } from "../../lib/context";
import { tinted } from "../status-look";
import type { Controls } from "./controls";
import { FactRow } from "./fact-row";
import { HelpActions } from "./help-actions";

/** There is a newer Torbiz than the image; it serves still. */
export function UpdateImageRow({ context, controls }: { context: EngineContext; controls: Controls }) {
  return (
    <FactRow
      id="update-image"
      title="Update Image"
      icon={tinted(Icon.ArrowUpCircle, "busy")}
      accessories={[{ tag: "Update" }]}
      markdown={[
        "The image was built by an older version of Torbiz. **Sharing works with it**, so the update can wait.",
        "Steps that have not changed are taken from last time. You may close this window meanwhile.",
      ].join("\n\n")}
      actions={
        <>
          <Action title="Update Image" icon={Icon.ArrowUpCircle} onAction={() => controls.build.build(context)} />
          <HelpActions onRefresh={controls.refresh} />
        </>
      }
    />
  );
}
