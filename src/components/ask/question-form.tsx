import { Action, ActionPanel, Form, Icon, useNavigation } from "@raycast/api";
import { useForm } from "@raycast/utils";
import type { ContextText } from "../../hooks/context-text";

interface QuestionFormProps {
  title: string;
  question: string;
  /** What the question is about. */
  context?: ContextText;
  onSubmit: (prompt: string) => void;
}

interface Values {
  question: string;
  context: string;
}

/** A question of more than one line, about a text or not. */
export function QuestionForm({ title, question, context, onSubmit }: QuestionFormProps) {
  const { pop } = useNavigation();
  const { handleSubmit, itemProps } = useForm<Values>({
    initialValues: { question, context: context?.text ?? "" },
    validation: { question: (text = "") => (text.trim() === "" ? "Type a question" : undefined) },
    onSubmit: (values) => {
      pop();
      onSubmit([values.question, values.context].filter((text) => text?.trim()).join("\n\n"));
    },
  });
  return (
    <Form
      navigationTitle={title}
      actions={
        <ActionPanel>
          <Action.SubmitForm title="Send" icon={Icon.ArrowUpCircle} onSubmit={handleSubmit} />
        </ActionPanel>
      }
    >
      <Form.TextArea {...itemProps.question} title="Question" placeholder="Ask a question" autoFocus />
      {context && <Form.TextArea {...itemProps.context} title={context.title} />}
    </Form>
  );
}
