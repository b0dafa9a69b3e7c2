import { Action, ActionPanel, Alert, Form, Icon, Toast, confirmAlert, showToast, useNavigation } from "@raycast/api";
import { usePromise } from "@raycast/utils";
import { extensionSurroundings } from "../../hooks/extension-surroundings";
import { refreshMenuBar } from "../../hooks/refresh-menu-bar";
import { showFailure } from "../../hooks/show-failure";
import { sizeText } from "../../lib/units";
import { findBelongings, needsStop, removeBelongings, type Belongings, type PartId } from "../../lib/uninstall";

/** Which parts are ticked. */
type Values = Partial<Record<PartId, boolean>>;

/** What Torbiz has put on this computer, to choose from: nothing is ticked, and nothing goes without a yes. */
export function UninstallForm() {
  const { pop } = useNavigation();
  const { data, isLoading } = usePromise(async () => findBelongings(extensionSurroundings()), [], {
    onError: showFailure,
  });
  const parts = data?.parts ?? [];
  const onSubmit = async (values: Values) => {
    if (data && (await remove(data, values))) pop();
  };
  return (
    <Form
      isLoading={isLoading}
      navigationTitle="Uninstall"
      actions={
        <ActionPanel>
          <Action.SubmitForm title="Remove…" icon={Icon.Trash} style={Action.Style.Destructive} onSubmit={onSubmit} />
        </ActionPanel>
      }
    >
      {data && <Form.Description text={[about(data), ...data.notes].join("\n")} />}
      {parts.map(({ id, title, detail, bytes }) => (
        <Form.Checkbox
          key={id}
          id={id}
          label={bytes === null ? title : `${title}, ${sizeText(bytes)}`}
          info={detail}
          defaultValue={false}
        />
      ))}
    </Form>
  );
}

function about({ parts, inUse }: Belongings): string {
  if (parts.length === 0) return "Nothing of Torbiz is here.";
  return ["Choose what to remove.", inUse].filter(Boolean).join(" ");
}

/** @returns whether all that was chosen is gone */
async function remove(found: Belongings, values: Values): Promise<boolean> {
  const chosen = found.parts.filter(({ id }) => values[id]);
  if (chosen.length === 0) {
    await showToast({ style: Toast.Style.Failure, title: "Nothing Is Chosen" });
    return false;
  }
  const ids = chosen.map(({ id }) => id);
  const stop = needsStop(found, ids);
  const confirmed = await confirmAlert({
    title: `Remove ${chosen.map(({ title }) => title).join(", ")}?`,
    message: `${stop ? `${found.inUse} It is stopped first, and its peers are told. ` : ""}This can't be undone.`,
    primaryAction: { title: stop ? "Stop and Remove" : "Remove", style: Alert.ActionStyle.Destructive },
  });
  if (!confirmed) return false;
  const toast = await showToast({ style: Toast.Style.Animated, title: "Removing" });
  try {
    const { removed, failed } = await removeBelongings(extensionSurroundings(), ids, {
      stop,
      onProgress: ({ message }) => {
        toast.message = message;
      },
    });
    if (stop) await refreshMenuBar();
    const [first] = failed;
    if (first) throw first.error;
    const freed = removed.reduce((sum, { bytes }) => sum + (bytes ?? 0), 0);
    await showToast({ style: Toast.Style.Success, title: "Removed", message: `${sizeText(freed)} are free again` });
    return true;
  } catch (error) {
    await showFailure(error);
    return false;
  }
}
