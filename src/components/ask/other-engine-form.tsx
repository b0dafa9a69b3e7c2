import { Action, ActionPanel, Form, Icon, useNavigation } from "@raycast/api";
import { useForm } from "@raycast/utils";
import { useState } from "react";
import type { EngineChoice } from "../../lib/ask/engine-choice";
import { parseBaseUrl } from "../../lib/ask/found-servers";
import { findLocalModel } from "../../lib/ask/local-models";
import { toTorbizError } from "../../lib/errors";

interface Values {
  address: string;
  model: string;
  file: string[];
}

/** A server by its address, or a model's file. */
export function OtherEngineForm({ onSubmit }: { onSubmit: (choice: EngineChoice) => void }) {
  const { pop } = useNavigation();
  const [kind, setKind] = useState<string>("server");
  const { handleSubmit, itemProps } = useForm<Values>({
    initialValues: { address: "", model: "", file: [] },
    validation: {
      address: (text = "") => (kind === "server" ? whyNot(() => parseBaseUrl(text)) : undefined),
      file: (files = []) => (kind === "file" ? whyNot(() => findLocalModel(files[0] ?? "")) : undefined),
    },
    onSubmit: ({ address, model, file }) => {
      pop();
      onSubmit(
        kind === "file"
          ? { kind: "this", model: file[0] ?? "" }
          : { kind: "server", baseUrl: parseBaseUrl(address), ...(model.trim() && { model: model.trim() }) },
      );
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
        <Form.Dropdown.Item title="Model File" value="file" icon={Icon.Document} />
      </Form.Dropdown>
      {kind === "server" ? (
        <>
          <Form.TextField {...itemProps.address} title="Address" placeholder="http://127.0.0.1:11434/v1" />
          <Form.TextField {...itemProps.model} title="Model" placeholder="The server's first" />
          <Form.Description text="Any server that speaks the OpenAI API. One that needs a key is entered in the preferences, with its key." />
        </>
      ) : (
        <Form.FilePicker {...itemProps.file} title="GGUF File" allowMultipleSelection={false} />
      )}
    </Form>
  );
}

function whyNot(read: () => unknown): string | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    return toTorbizError(error).message;
  }
}
