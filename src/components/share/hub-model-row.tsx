import { Action, ActionPanel, Form, Icon, Toast, showToast, useNavigation } from "@raycast/api";
import { useForm } from "@raycast/utils";
import { useState } from "react";
import type { EngineContext } from "../../lib/context";
import { toTorbizError, type TorbizError } from "../../lib/errors";
import { isRepository } from "../../lib/hub/known-models";
import { resolveModel } from "../../lib/hub/resolve-model";
import { ErrorLinkAction } from "../error-link-action";
import { plainText } from "../plain-text";
import { titleCase } from "../title-case";
import type { Controls } from "./controls";
import { FactRow } from "./fact-row";
import { HelpActions } from "./help-actions";

interface HubModelProps {
  context: EngineContext;
  controls: Controls;
  /** A Hugging Face token, where one is set. */
  token?: string;
}

/** Any other model of the hub, by its name. */
export function HubModelRow(props: HubModelProps) {
  return (
    <FactRow
      id="hub-model"
      title="Another Model…"
      icon={Icon.PlusCircle}
      markdown={
        "Any model of the llama, falcon and bloom families on the Hugging Face hub can be shared, by its name. " +
        "It is looked up first: what it is, how large, and whether you may have it."
      }
      actions={
        <>
          <Action.Push title="Enter Model Name" icon={Icon.TextCursor} target={<HubModelForm {...props} />} />
          <HelpActions onRefresh={props.controls.refresh} />
        </>
      }
    />
  );
}

/** Looks the model up; it is then among the others. */
function HubModelForm({ context, controls, token }: HubModelProps) {
  const { pop } = useNavigation();
  const [isLoading, setLoading] = useState(false);
  const [failure, setFailure] = useState<TorbizError>();
  const { handleSubmit, itemProps } = useForm<{ name: string }>({
    validation: {
      name: (text = "") => (isRepository(text.trim()) ? undefined : "Enter owner/name, as on the model's page"),
    },
    onSubmit: async ({ name }) => {
      setLoading(true);
      setFailure(undefined);
      try {
        const { title } = await resolveModel(context, name, { token });
        await showToast({ style: Toast.Style.Success, title: `${title} Can Be Shared` });
        await controls.refresh();
        pop();
      } catch (error) {
        // In the form, as a toast has no room for what to do.
        setFailure(toTorbizError(error));
      }
      setLoading(false);
    },
  });
  return (
    <Form
      navigationTitle="Another Model"
      isLoading={isLoading}
      actions={
        <ActionPanel>
          <Action.SubmitForm title="Look It up" icon={Icon.MagnifyingGlass} onSubmit={handleSubmit} />
          <ErrorLinkAction error={failure} />
        </ActionPanel>
      }
    >
      <Form.TextField {...itemProps.name} title="Model" placeholder="owner/name" />
      {failure && (
        <Form.Description title={titleCase(failure.title)} text={plainText(`${failure.message} ${failure.hint}`)} />
      )}
    </Form>
  );
}
