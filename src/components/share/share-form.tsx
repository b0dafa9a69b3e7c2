import { Action, ActionPanel, Form, Icon, useNavigation } from "@raycast/api";
import { useForm } from "@raycast/utils";
import { useState } from "react";
import type { Model } from "../../lib/models";
import { formatBlocks, parseBlocks } from "../../lib/sharing/blocks";
import { parseHost } from "../../lib/sharing/lan";
import { isPort } from "../../lib/sharing/port";
import { parseSwarm, type Swarm } from "../../lib/sharing/swarm";
import type { ShareChoice } from "../../hooks/use-share-jobs";
import { whyNot } from "./why-not";

interface ShareFormProps {
  choice: ShareChoice & { swarm: Swarm; port: number };
  onSubmit: (choice: ShareChoice) => void;
}

interface Values {
  peers: string;
  blocks: string;
  port: string;
  lan: boolean;
  address: string;
}

/** How to share a model, where the usual way isn't wanted. What is chosen here is the last choice the next time. */
export function ShareForm({ choice, onSubmit }: ShareFormProps) {
  const { pop } = useNavigation();
  const { model, swarm, blocks, port, lan } = choice;
  const [kind, setKind] = useState<string>(swarm.kind);
  const { handleSubmit, itemProps, values } = useForm<Values>({
    initialValues: {
      peers: swarm.kind === "join" ? swarm.peers.join(" ") : "",
      blocks: blocks === undefined ? "" : formatBlocks(blocks),
      port: String(port),
      lan: lan !== undefined,
      address: typeof lan === "string" ? lan : "",
    },
    validation: {
      peers: (text) => (kind === "join" ? whyNot(() => parseSwarm(addresses(text))) : undefined),
      blocks: (text = "") =>
        text.trim() === "" || areBlocksOf(model, text)
          ? undefined
          : `Enter a number from 1 to ${model.blocks}, or a range such as 0:${model.blocks}`,
      port: (text = "") => (isPort(Number(text)) ? undefined : "Enter a number from 1024 to 65535"),
      address: (text = ""): string | undefined =>
        !hasAddress() || text.trim() === "" ? undefined : whyNot(() => parseHost(text)),
    },
    onSubmit: (values) => {
      pop();
      onSubmit({
        model,
        swarm: parseSwarm(kind === "join" ? addresses(values.peers) : [kind]),
        port: Number(values.port),
        lan: lanOf(kind, values),
        ...(values.blocks.trim() !== "" && { blocks: parseBlocks(values.blocks) }),
      });
    },
  });
  const hasAddress = (): boolean => kind !== "private" || values.lan;
  return (
    <Form
      navigationTitle={`Share ${model.title}`}
      actions={
        <ActionPanel>
          <Action.SubmitForm title="Share" icon={Icon.Play} onSubmit={handleSubmit} />
        </ActionPanel>
      }
    >
      <Form.Dropdown id="swarm" title="Swarm" value={kind} onChange={setKind}>
        <Form.Dropdown.Item title="Private Swarm" value="private" icon={Icon.House} />
        <Form.Dropdown.Item title="Public Petals Network" value="public" icon={Icon.Globe} />
        <Form.Dropdown.Item title="Join Peers" value="join" icon={Icon.Link} />
      </Form.Dropdown>
      {kind === "join" && (
        <Form.TextField {...itemProps.peers} title="Peer Addresses" placeholder="/ip4/1.2.3.4/tcp/31330/p2p/12D3…" />
      )}
      <Form.Description text={SWARMS[kind] ?? ""} />
      {kind === "private" && (
        <>
          <Form.Checkbox {...itemProps.lan} title="Local Network" label="Let others on it join" />
          <Form.Description text={WHAT_OTHERS_LEARN} />
        </>
      )}
      <Form.TextField
        {...itemProps.blocks}
        title="Blocks"
        placeholder="As many as fit"
        info={`The model has ${model.blocks}: how many of them to serve, or which, such as 0:4 for the first four. Other peers must serve the rest.`}
      />
      <Form.TextField
        {...itemProps.port}
        title="Port"
        placeholder="31330"
        info={hasAddress() ? FORWARDING : "Of the share's server. Another program must not have it."}
      />
      {hasAddress() && (
        <Form.TextField
          {...itemProps.address}
          title="Address"
          placeholder={kind === "public" ? "None" : "This computer's in the local network"}
          info="Where others are told to reach this computer: an IPv4 address or a host name, such as your router's."
        />
      )}
    </Form>
  );
}

const SWARMS: Readonly<Record<string, string>> = {
  private: "A swarm that this computer starts, for questions asked on it.",
  public: "The network of everybody who runs Petals. At times nobody may be online.",
  join: "A swarm that somebody invited you to, by the address of one or more of its peers.",
};

const WHAT_OTHERS_LEARN =
  "Whoever is on your local network can then join and ask; there is no password. They learn this computer's address, its " +
  "peer ID and which blocks it serves. With a router's address and a forwarded port, whoever reaches that can do the same. " +
  "Copy Invite, once it is online, lets others join.";

const FORWARDING =
  "To be reachable from the internet, forward this port in your router and name the router's address below.";

/** How it is opened to others: at the address that is named, or where a swarm of one's own is opened, at this computer's. */
function lanOf(kind: string, { lan, address }: Values): ShareChoice["lan"] {
  if (kind === "private" && !lan) return undefined;
  return address.trim() || (kind === "private" ? true : undefined);
}

function addresses(text = ""): string[] {
  const found = text.split(/[\s,]+/).filter(Boolean);
  // None at all would mean one's own swarm.
  return found.length > 0 ? found : [""];
}

function areBlocksOf(model: Model, text: string): boolean {
  try {
    const blocks = parseBlocks(text);
    return (typeof blocks === "number" ? blocks : blocks.end) <= model.blocks;
  } catch {
    return false;
  }
}
