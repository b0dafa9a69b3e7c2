import { Action, ActionPanel, Form, Icon, useNavigation } from "@raycast/api";
import { useForm } from "@raycast/utils";
import { useState } from "react";
import type { EngineChoice } from "../../lib/ask/engine-choice";
import { parseBaseUrl } from "../../lib/ask/found-servers";
import { findLocalModel } from "../../lib/ask/local-models";
import { toTorbizError, TorbizError } from "../../lib/errors";
import { knownModels } from "../../lib/hub/known-models";
import { defaultModel } from "../../lib/models";
import type { Paths } from "../../lib/paths";
import { parseSwarm, type Swarm } from "../../lib/sharing/swarm";

interface Values {
  address: string;
  model: string;
  file: string[];
  peers: string;
  swarmModel: string;
}

interface OtherEngineFormProps {
  paths: Paths;
  onSubmit: (choice: EngineChoice) => void;
}

/** A server by its address, a model's file, or a swarm that is there without this computer. */
export function OtherEngineForm({ paths, onSubmit }: OtherEngineFormProps) {
  const { pop } = useNavigation();
  const [models] = useState(() => knownModels(paths));
  const [kind, setKind] = useState<string>("server");
  const { handleSubmit, itemProps } = useForm<Values>({
    initialValues: { address: "", model: "", file: [], peers: "", swarmModel: defaultModel.id },
    validation: {
      address: (text = "") => (kind === "server" ? whyNot(() => parseBaseUrl(text)) : undefined),
      file: (files = []) => (kind === "file" ? whyNot(() => findLocalModel(files[0] ?? "")) : undefined),
      peers: (text = "") => (kind === "join" ? whyNot(() => swarmOf(text)) : undefined),
    },
    onSubmit: (entered) => {
      pop();
      onSubmit(choiceOf(kind, entered));
    },
  });
  return (
    <Form
      navigationTitle="Use Another"
      actions={
        <ActionPanel>
          <Action.SubmitForm title="Use" icon={Icon.Check} onSubmit={handleSubmit} />
        </ActionPanel>
      }
    >
      <Form.Dropdown id="kind" title="Kind" value={kind} onChange={setKind}>
        <Form.Dropdown.Item title="Server" value="server" icon={Icon.Globe} />
        <Form.Dropdown.Item title="Swarm of Peers" value="join" icon={Icon.Network} />
        <Form.Dropdown.Item title="Public Petals Network" value="public" icon={Icon.TwoPeople} />
        <Form.Dropdown.Item title="Model File" value="file" icon={Icon.Document} />
      </Form.Dropdown>
      {kind === "server" && (
        <>
          <Form.TextField {...itemProps.address} title="Address" placeholder="http://127.0.0.1:11434/v1" />
          <Form.TextField {...itemProps.model} title="Model" placeholder="The server's first" />
          <Form.Description text="Any server that speaks the OpenAI API. One that needs a key is entered in the preferences, with its key." />
        </>
      )}
      {(kind === "join" || kind === "public") && (
        <>
          {kind === "join" && (
            <Form.TextField
              {...itemProps.peers}
              title="Peers or Invite"
              placeholder="torbiz-invite:... or /ip4/192.168.1.20/tcp/31330/p2p/12D3..."
            />
          )}
          <Form.Dropdown {...itemProps.swarmModel} title="Model">
            {models.map(({ id, title }) => (
              <Form.Dropdown.Item key={id} title={title} value={id} />
            ))}
          </Form.Dropdown>
          <Form.Description text="Questions and answers pass through the computers of its peers. You are asked before the first one goes." />
        </>
      )}
      {kind === "file" && <Form.FilePicker {...itemProps.file} title="GGUF File" allowMultipleSelection={false} />}
    </Form>
  );
}

/** @throws TorbizError swarm-invalid */
function swarmOf(peers: string): Extract<Swarm, { kind: "join" }> {
  const swarm = parseSwarm(peers.split(/[\s,]+/).filter(Boolean));
  // One's own is in the list already, and public is a kind of its own.
  if (swarm.kind === "join") return swarm;
  throw new TorbizError("swarm-invalid", "Enter the address of a peer, or an invite.");
}

function choiceOf(kind: string, values: Values): EngineChoice {
  const { address, model, file, peers, swarmModel } = values;
  if (kind === "file") return { kind: "this", model: file[0] ?? "" };
  if (kind === "public") return { kind: "swarm", model: swarmModel, swarm: { kind: "public" } };
  if (kind === "join") {
    const swarm = swarmOf(peers);
    return { kind: "swarm", model: swarm.invite?.model ?? swarmModel, swarm };
  }
  return { kind: "server", baseUrl: parseBaseUrl(address), ...(model.trim() && { model: model.trim() }) };
}

function whyNot(read: () => unknown): string | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    return toTorbizError(error).message;
  }
}
