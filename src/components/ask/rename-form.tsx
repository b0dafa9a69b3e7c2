import { Action, ActionPanel, Form, Icon, useNavigation } from "@raycast/api";
import { useForm } from "@raycast/utils";

interface RenameFormProps {
  title: string;
  onSubmit: (title: string) => Promise<void>;
}

/** Another name for a conversation. */
export function RenameForm({ title, onSubmit }: RenameFormProps) {
  const { pop } = useNavigation();
  const { handleSubmit, itemProps } = useForm<{ name: string }>({
    initialValues: { name: title },
    validation: { name: (text = "") => (text.trim() === "" ? "Enter a name" : undefined) },
    onSubmit: async ({ name }) => {
      await onSubmit(name);
      pop();
    },
  });
  return (
    <Form
      navigationTitle="Rename Conversation"
      actions={
        <ActionPanel>
          <Action.SubmitForm title="Rename" icon={Icon.Pencil} onSubmit={handleSubmit} />
        </ActionPanel>
      }
    >
      <Form.TextField {...itemProps.name} title="Name" />
    </Form>
  );
}
