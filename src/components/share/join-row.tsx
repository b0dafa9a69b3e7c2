import { Action, Icon } from "@raycast/api";
import type { EngineContext } from "../../lib/context";
import type { Controls } from "./controls";
import { FactRow } from "./fact-row";
import { HelpActions } from "./help-actions";
import { JoinByInvite } from "./join-by-invite";

/** Somebody else's swarm, by the invite to it. */
export function JoinRow({ context, controls }: { context: EngineContext; controls: Controls }) {
  return (
    <FactRow
      id="join"
      title="Join by Invite…"
      icon={Icon.AddPerson}
      markdown={
        "Somebody who shares a model can invite you by a line of text. Before you join you are told whether their swarm " +
        "can be reached, and which blocks it lacks."
      }
      actions={
        <>
          <Action.Push
            title="Enter Invite"
            icon={Icon.TextCursor}
            target={<JoinByInvite context={context} sharing={controls.sharing} />}
          />
          <HelpActions onRefresh={controls.refresh} />
        </>
      }
    />
  );
}
