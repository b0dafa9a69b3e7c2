import { Action, ActionPanel, Icon, List, getPreferenceValues, useNavigation } from "@raycast/api";
import { usePromise } from "@raycast/utils";
import { chooseSocket, chosenSocket } from "../../hooks/chosen-socket";
import { dockerSurroundings } from "../../hooks/docker-surroundings";
import { showFailure } from "../../hooks/show-failure";
import { knownSockets } from "../../lib/docker/sockets";
import { tinted } from "../status-look";
import { OpenPreferencesAction } from "./help-actions";
import { SHORTCUTS } from "./shortcuts";

/** The sockets where an engine may listen, to choose one for all of Torbiz's commands. */
export function ChooseSocket({ onChosen }: { onChosen: () => void }) {
  const { pop } = useNavigation();
  const { data, isLoading, revalidate } = usePromise(() => knownSockets(dockerSurroundings()), [], {
    onError: showFailure,
  });
  const { dockerHost } = getPreferenceValues<Preferences>();
  const chosen = chosenSocket();
  const choose = (url: string | undefined) => {
    chooseSocket(url);
    onChosen();
    pop();
  };
  const others = (
    <ActionPanel.Section>
      <Action title="Refresh" icon={Icon.ArrowClockwise} shortcut={SHORTCUTS.refresh} onAction={revalidate} />
      <OpenPreferencesAction />
    </ActionPanel.Section>
  );
  return (
    <List isLoading={isLoading} navigationTitle="Choose Socket" searchBarPlaceholder="Search sockets">
      {dockerHost?.trim() && (
        <List.Item
          icon={tinted(Icon.Info, "warning")}
          title="The Preference “Docker Host” Goes First"
          subtitle="Empty it to use a socket from here"
          actions={
            <ActionPanel>
              <OpenPreferencesAction />
            </ActionPanel>
          }
        />
      )}
      {chosen && (
        <List.Item
          id="automatic"
          icon={Icon.Wand}
          title="Find Automatically"
          subtitle={`Forget ${chosen}`}
          actions={
            <ActionPanel>
              <Action title="Find Automatically" icon={Icon.Wand} onAction={() => choose(undefined)} />
              {others}
            </ActionPanel>
          }
        />
      )}
      {data?.map(({ endpoint, name, state, detail }) => (
        <List.Item
          key={endpoint.url}
          id={endpoint.url}
          icon={state === "ready" ? tinted(Icon.CheckCircle, "good") : tinted(Icon.Circle, "quiet")}
          title={name}
          subtitle={endpoint.url}
          accessories={[{ text: detail }]}
          actions={
            <ActionPanel>
              <Action title="Use This Socket" icon={Icon.Plug} onAction={() => choose(endpoint.url)} />
              <Action.CopyToClipboard title="Copy Address" content={endpoint.url} shortcut={SHORTCUTS.copy} />
              {others}
            </ActionPanel>
          }
        />
      ))}
    </List>
  );
}
