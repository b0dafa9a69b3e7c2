import { totalmem } from "node:os";
import { Action, ActionPanel, Alert, Icon, List, confirmAlert, useNavigation, type Image } from "@raycast/api";
import { usePromise } from "@raycast/utils";
import { showFailure } from "../../hooks/show-failure";
import { preferredServer } from "../../hooks/use-engine-choice";
import type { EngineChoice } from "../../lib/ask/engine-choice";
import { listEngines, type EngineInfo } from "../../lib/ask/engines";
import { removeModel } from "../../lib/ask/local-model-files";
import { LOCAL_MODELS, recommendedModel } from "../../lib/ask/local-models";
import type { Paths } from "../../lib/paths";
import { gigabytes } from "../../lib/sharing/fit";
import { OpenPreferencesAction } from "../share/help-actions";
import { tinted } from "../status-look";
import type { Controls } from "./controls";
import { engineKey, engineTitle, engineWhere, namedSwarm, TAGS, whoAnswers } from "./engine-words";
import { OtherEngineForm } from "./other-engine-form";
import { SHORTCUTS } from "./shortcuts";

const SECTIONS: Record<EngineChoice["kind"], string> = {
  this: "This Computer",
  server: "Other Servers",
  swarm: "Swarm",
};

const STATES: Record<EngineInfo["state"], { word: string; icon: Image.ImageLike }> = {
  ready: { word: "Ready", icon: tinted(Icon.CheckCircle, "good") },
  "needs-setup": { word: "Set Up at First Use", icon: tinted(Icon.Circle, "quiet") },
  "needs-download": { word: "Not Downloaded", icon: tinted(Icon.Download, "quiet") },
  unavailable: { word: "Unavailable", icon: tinted(Icon.XMarkCircle, "warning") },
};

/** What can answer: models of this computer, servers that run on it, the swarm. */
export function EnginePicker({ controls }: { controls: Controls }) {
  const { surroundings } = controls;
  const {
    data = [],
    isLoading,
    revalidate,
  } = usePromise(() => listEngines(surroundings), [], { onError: showFailure });
  const server = preferredServer();
  const known = server ? [...data, preferred(server, surroundings.paths)] : data;
  const { choice: chosen } = controls;
  const engines =
    !chosen || known.some(({ choice }) => isSame(choice, chosen))
      ? known
      : [...known, current(chosen, surroundings.paths)];
  return (
    <List isLoading={isLoading} isShowingDetail navigationTitle="Change Model" searchBarPlaceholder="Search models">
      {(["this", "server", "swarm"] as const).map((kind) => (
        <List.Section key={kind} title={SECTIONS[kind]}>
          {engines
            .filter(({ choice }) => choice.kind === kind)
            .map((engine) => (
              <EngineRow key={engineKey(engine.choice)} engine={engine} controls={controls} onChange={revalidate} />
            ))}
        </List.Section>
      ))}
    </List>
  );
}

interface EngineRowProps {
  engine: EngineInfo;
  controls: Controls;
  onChange: () => void;
}

function EngineRow({ engine, controls, onChange }: EngineRowProps) {
  const { choice, title, detail, state, warm } = engine;
  const { surroundings } = controls;
  const { pop } = useNavigation();
  const isChosen = controls.choice !== undefined && isSame(choice, controls.choice);
  const { word, icon } = warm ? { word: "Loaded", icon: tinted(Icon.Bolt, "good") } : STATES[state];
  const model = choice.kind === "this" ? LOCAL_MODELS.find(({ id }) => id === choice.model) : undefined;
  const isRecommended = model !== undefined && model.id === recommendedModel(totalmem()).id;
  const use = (wanted: EngineChoice) => {
    pop();
    void controls.choose(wanted);
  };
  const remove = async () => {
    if (!model) return;
    const confirmed = await confirmAlert({
      title: `Remove ${title}?`,
      message: `Its ${gigabytes(model.bytes)} are erased from this computer. It can be downloaded again.`,
      primaryAction: { title: "Remove", style: Alert.ActionStyle.Destructive },
    });
    if (!confirmed) return;
    await removeModel(surroundings.paths, model).catch(showFailure);
    onChange();
  };
  const facts = [
    { title: "State", text: word, icon },
    { title: "Where", text: engineWhere(choice) },
    ...(model ? [{ title: "Download", text: gigabytes(model.bytes) }] : []),
    ...(model ? [{ title: "Memory", text: `About ${gigabytes(model.memoryBytes)}` }] : []),
    ...(model?.license ? [{ title: "License", text: model.license }] : []),
  ];
  return (
    <List.Item
      id={engineKey(choice)}
      title={title}
      icon={{ value: icon, tooltip: word }}
      accessories={
        // Beside the name there is room for one.
        isChosen
          ? [{ icon: Icon.Checkmark, tooltip: "Answers Now" }]
          : [
              ...(isRecommended ? [{ tag: TAGS.recommended }] : []),
              ...(model?.source === "starter" ? [{ tag: TAGS.starter }] : []),
            ]
      }
      detail={
        <List.Item.Detail
          markdown={model?.note ?? detail}
          metadata={
            <List.Item.Detail.Metadata>
              {facts.map((fact) => (
                <List.Item.Detail.Metadata.Label key={fact.title} {...fact} />
              ))}
            </List.Item.Detail.Metadata>
          }
        />
      }
      actions={
        <ActionPanel>
          <ActionPanel.Section>
            <Action
              title={state === "needs-download" ? "Download and Use" : "Use"}
              icon={state === "needs-download" ? Icon.Download : Icon.Check}
              onAction={() => use(choice)}
            />
            {model && state !== "needs-download" && (
              <Action
                title="Remove from This Computer"
                icon={Icon.Trash}
                style={Action.Style.Destructive}
                shortcut={SHORTCUTS.remove}
                onAction={remove}
              />
            )}
          </ActionPanel.Section>
          <ActionPanel.Section>
            <Action.Push
              title="Use Another…"
              icon={Icon.Plus}
              target={<OtherEngineForm paths={surroundings.paths} onSubmit={use} />}
            />
            <OpenPreferencesAction />
          </ActionPanel.Section>
        </ActionPanel>
      }
    />
  );
}

/** Whether two choices mean one engine. The list has the swarm that is meant where none is named. */
function isSame(one: EngineChoice, other: EngineChoice): boolean {
  const areMeant = [one, other].every((each) => each.kind === "swarm" && namedSwarm(each) === "");
  if (areMeant && (!one.model || !other.model)) return true;
  return engineKey(one) === engineKey(other);
}

/** What answers now and is nowhere to be found: a server elsewhere, or a file of the user's own. */
function current(choice: EngineChoice, paths: Paths): EngineInfo {
  return { choice, title: engineTitle(choice, paths), detail: whoAnswers(choice, paths), state: "ready", warm: false };
}

/** The server of the preferences, which may be anywhere. */
function preferred(choice: Extract<EngineChoice, { kind: "server" }>, paths: Paths): EngineInfo {
  const detail = "The server of the preferences.";
  return { choice, title: engineTitle(choice, paths), detail, state: "ready", warm: false };
}
