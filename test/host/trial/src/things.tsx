import {
  Action,
  ActionPanel,
  Color,
  confirmAlert,
  Detail,
  Icon,
  Keyboard,
  launchCommand,
  type LaunchProps,
  LaunchType,
  List,
  open,
  showToast,
  Toast,
  useNavigation,
} from "@raycast/api";
import { useEffect, useState } from "react";

const FRUIT = ["Apple", "Banana", "Cherry"];

export default function Things({ launchContext }: LaunchProps<{ launchContext?: { neverLoads?: boolean } }>) {
  const [kind, setKind] = useState("fruit");
  const [selected, setSelected] = useState<string | null>("nothing yet");
  const [isLoading, setIsLoading] = useState(true);
  const [fruit, setFruit] = useState<string[]>([]);
  useEffect(() => {
    if (launchContext?.neverLoads) return;
    setFruit(FRUIT);
    setIsLoading(false);
  }, []);
  return (
    <List
      isLoading={isLoading}
      searchBarPlaceholder="Search things"
      onSelectionChange={setSelected}
      isShowingDetail
      searchBarAccessory={
        <List.Dropdown tooltip="Kind" onChange={setKind}>
          <List.Dropdown.Item title="Fruit" value="fruit" />
          <List.Dropdown.Item title="None" value="none" />
        </List.Dropdown>
      }
    >
      <List.EmptyView title="Nothing Here" description="Nothing at all" />
      <List.Section title="Fruit" subtitle={`selected ${selected}`}>
        {(kind === "fruit" ? fruit : []).map((name) => (
          <Fruit key={name} name={name} remove={() => setFruit((all) => all.filter((one) => one !== name))} />
        ))}
      </List.Section>
    </List>
  );
}

function Fruit({ name, remove }: { name: string; remove: () => void }) {
  const { push } = useNavigation();
  const eat = async () => {
    const toast = await showToast({ style: Toast.Style.Animated, title: "Eating" });
    toast.style = Toast.Style.Success;
    toast.title = `Ate ${name}`;
    toast.primaryAction = { title: "Eat Again", onAction: () => void (toast.message = "twice") };
  };
  const throwAway = async () => {
    if (await confirmAlert({ title: `Throw ${name} away?` })) remove();
  };
  return (
    <List.Item
      id={name.toLowerCase()}
      title={name}
      subtitle="round"
      keywords={name === "Banana" ? ["yellow"] : []}
      icon={{ source: Icon.Circle, tintColor: Color.Red }}
      accessories={[{ text: "fresh" }, { tag: "ripe" }, { date: new Date(0) }]}
      detail={<List.Item.Detail markdown={`All about **${name}**`} />}
      actions={
        <ActionPanel>
          <ActionPanel.Section title="Main">
            <Action title="Eat" onAction={eat} />
            <Action.Push title="Show" target={<Peel name={name} />} />
            <Action title="Show by Hand" onAction={() => push(<Peel name={name} />, eat)} />
          </ActionPanel.Section>
          <ActionPanel.Submenu title="More">
            <Action title="Open Page" onAction={() => open("https://example.com/fruit", "Browser")} />
            <Action.CopyToClipboard title="Copy Name" content={name} shortcut={Keyboard.Shortcut.Common.Copy} />
            <Action.PickDate title="Pick Date" onChange={() => {}} />
            <Action
              title="Count"
              onAction={() => launchCommand({ name: "counter", type: LaunchType.Background, context: { by: 5 } })}
            />
            <Action title="Order" onAction={() => launchCommand({ name: "order", type: LaunchType.UserInitiated })} />
          </ActionPanel.Submenu>
          <Action
            title="Throw Away"
            style={Action.Style.Destructive}
            shortcut={{ modifiers: ["ctrl"], key: "x" }}
            onAction={throwAway}
          />
        </ActionPanel>
      }
    />
  );
}

function Peel({ name }: { name: string }) {
  const { pop } = useNavigation();
  return (
    <Detail
      markdown={`# Peel of ${name}`}
      metadata={
        <Detail.Metadata>
          <Detail.Metadata.Label title="Weight" text="12 g" />
        </Detail.Metadata>
      }
      actions={
        <ActionPanel>
          <Action title="Go Back" onAction={pop} />
        </ActionPanel>
      }
    />
  );
}
