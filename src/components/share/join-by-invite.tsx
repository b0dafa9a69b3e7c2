import { Action, ActionPanel, Form, Icon } from "@raycast/api";
import { useForm } from "@raycast/utils";
import { useState } from "react";
import type { ShareJobs } from "../../hooks/use-share-jobs";
import type { EngineContext } from "../../lib/context";
import { readInvite, type Invite } from "../../lib/sharing/invite";
import { JoinFindings } from "./join-findings";
import { whyNot } from "./why-not";

interface JoinByInviteProps {
  context: EngineContext;
  sharing: ShareJobs;
  /** The text of one that somebody was sent. */
  text?: string;
}

/** Asks for an invite, and shows what is found of its swarm before this computer joins. */
export function JoinByInvite({ context, sharing, text = "" }: JoinByInviteProps) {
  // What came with a launch and can be read needs no form.
  const [invite, setInvite] = useState<Invite | undefined>(() =>
    whyNot(() => readInvite(text)) === undefined ? readInvite(text) : undefined,
  );
  if (invite) return <JoinFindings context={context} sharing={sharing} invite={invite} />;
  return <InviteForm text={text} onSubmit={setInvite} />;
}

function InviteForm({ text, onSubmit }: { text: string; onSubmit: (invite: Invite) => void }) {
  const { handleSubmit, itemProps } = useForm<{ invite: string }>({
    initialValues: { invite: text },
    validation: { invite: (typed = "") => whyNot(() => readInvite(typed)) },
    onSubmit: ({ invite }) => onSubmit(readInvite(invite)),
  });
  return (
    <Form
      navigationTitle="Join by Invite"
      actions={
        <ActionPanel>
          <Action.SubmitForm title="Look at the Swarm" icon={Icon.MagnifyingGlass} onSubmit={handleSubmit} />
        </ActionPanel>
      }
    >
      <Form.TextArea {...itemProps.invite} title="Invite" placeholder="torbiz-invite:…" />
      <Form.Description text="Nothing is shared before you say so." />
    </Form>
  );
}
