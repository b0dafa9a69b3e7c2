import { Action, Icon } from "@raycast/api";
import { createDeeplink } from "@raycast/utils";

/** Copies the invite to a swarm: as text, and as a link that opens it in another's launcher. */
export function InviteActions({ invite }: { invite: string }) {
  return (
    <>
      <Action.CopyToClipboard title="Copy Invite" icon={Icon.AddPerson} content={invite} />
      <Action.CopyToClipboard
        title="Copy Invite Link"
        icon={Icon.Link}
        content={createDeeplink({ command: "share-gpu", arguments: { model: invite } })}
      />
    </>
  );
}
