import { Action, ActionPanel, Form, showHUD } from "@raycast/api";
import { FormValidation, useForm } from "@raycast/utils";

interface Order {
  what: string;
  size: string;
  gift: boolean;
}

export default function OrderForm() {
  const { handleSubmit, itemProps } = useForm<Order>({
    onSubmit: async ({ what, size, gift }) => {
      await showHUD(`${what} ${size} ${gift}`);
    },
    initialValues: { size: "m" },
    validation: { what: FormValidation.Required },
  });
  return (
    <Form
      actions={
        <ActionPanel>
          <Action.SubmitForm title="Order" onSubmit={handleSubmit} />
        </ActionPanel>
      }
    >
      <Form.Description text="What shall it be?" />
      <Form.TextField title="What" placeholder="Anything" {...itemProps.what} />
      <Form.Dropdown title="Size" {...itemProps.size}>
        <Form.Dropdown.Item value="s" title="Small" />
        <Form.Dropdown.Item value="m" title="Medium" />
      </Form.Dropdown>
      <Form.Checkbox label="As a Gift" {...itemProps.gift} />
    </Form>
  );
}
