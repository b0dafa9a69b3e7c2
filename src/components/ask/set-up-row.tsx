import { Action, ActionPanel, Icon, List } from "@raycast/api";
import { getProgressIcon } from "@raycast/utils";
import { CopyDetailsAction } from "../copy-details-action";
import { ErrorLinkAction } from "../error-link-action";
import { failureText } from "../share/failure-text";
import { PALETTE, tinted } from "../status-look";
import type { SetUp } from "../../hooks/use-set-up";
import { ChatActions, SendAction } from "./chat-actions";
import type { Controls } from "./controls";

const GOES_ON =
  "You can type your question meanwhile. A download goes on when you close this window; the rest goes on where it was when you come back.";

/** What is made ready for the first answer of an engine. */
export function SetUpRow({ setUp, controls }: { setUp: SetUp; controls: Controls }) {
  const { choice, title, progress, error } = setUp;
  const { message = "Looking at what is there", progress: part = null } = progress ?? {};
  return (
    <List.Item
      id="set-up"
      title={error ? `${title.replace(/^the /, "The ")} Isn't Ready` : `Setting Up ${title}`}
      icon={error ? tinted(Icon.XMarkCircle, "bad") : getProgressIcon(part ?? 0, PALETTE.busy)}
      accessories={part === null || error ? [] : [{ text: `${Math.floor(part * 100)}%` }]}
      detail={<List.Item.Detail markdown={error ? failureText(error) : `**${message}**\n\n${GOES_ON}`} />}
      actions={
        <ActionPanel>
          <ActionPanel.Section>
            {!error && controls.draft.trim() !== "" && <SendAction controls={controls} />}
            {error?.details?.canFetch === true && (
              <Action
                title="Get Python"
                icon={Icon.Download}
                onAction={() => controls.choose(choice, { fetchPython: true })}
              />
            )}
            <ErrorLinkAction error={error} />
            {error ? (
              <>
                <Action title="Try Again" icon={Icon.RotateClockwise} onAction={() => controls.choose(choice)} />
                <CopyDetailsAction error={error} />
              </>
            ) : (
              <Action title="Cancel" icon={Icon.XMarkCircle} onAction={controls.setUp.cancel} />
            )}
          </ActionPanel.Section>
          <ChatActions controls={controls} />
        </ActionPanel>
      }
    />
  );
}
