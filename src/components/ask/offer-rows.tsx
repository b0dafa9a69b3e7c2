import { Action, ActionPanel, Icon, List, type Image } from "@raycast/api";
import type { Offer } from "../../lib/ask/engines";
import { LOCAL_MODELS } from "../../lib/ask/local-models";
import { gigabytes } from "../../lib/sharing/fit";
import { FactRow } from "../share/fact-row";
import { ChatActions } from "./chat-actions";
import type { Controls } from "./controls";
import { EnginePicker } from "./engine-picker";
import { engineKey, TAGS } from "./engine-words";
import { SHORTCUTS } from "./shortcuts";

const LOOKS: Record<Offer["kind"], { icon: Image.ImageLike; tag?: string; about: string }> = {
  server: { icon: Icon.Plug, about: "It answers at once: nothing has to be downloaded." },
  download: {
    icon: Icon.Download,
    tag: TAGS.recommended,
    about:
      "Recommended for this computer: it answers here, and no question leaves it. The download goes on when you close this window.",
  },
  starter: { icon: Icon.Box, tag: TAGS.starter, about: "It answers on this computer: no question leaves it." },
};

/** What somebody who has never asked can be answered by, best first. Enter takes it. */
export function OfferRows({ offers, controls }: { offers: readonly Offer[]; controls: Controls }) {
  return (
    <List.Section title="Choose What Answers">
      {offers.map(({ kind, choice, title, detail }) => {
        const { icon, about, tag } = LOOKS[kind];
        const use = `${kind === "download" ? "Download and Use" : "Use"} ${title}`;
        const model = choice.kind === "this" ? LOCAL_MODELS.find(({ id }) => id === choice.model) : undefined;
        return (
          <FactRow
            key={engineKey(choice)}
            id={engineKey(choice)}
            title={title}
            icon={icon}
            accessories={[...(tag ? [{ tag }] : []), ...(model ? [{ text: gigabytes(model.bytes) }] : [])]}
            markdown={[model?.note ?? detail, about].join("\n\n")}
            facts={
              model && [
                { title: "Download", text: gigabytes(model.bytes) },
                { title: "Memory", text: `About ${gigabytes(model.memoryBytes)}` },
                ...(model.license ? [{ title: "License", text: model.license }] : []),
              ]
            }
            actions={
              <>
                <ActionPanel.Section>
                  <Action
                    title={controls.draft.trim() === "" ? use : `${use} and Send`}
                    icon={Icon.Check}
                    onAction={() => controls.choose(choice)}
                  />
                </ActionPanel.Section>
                <ChatActions controls={controls} />
              </>
            }
          />
        );
      })}
      <FactRow
        id="others"
        title="Choose Another…"
        icon={Icon.Switch}
        markdown="All models for this computer, a server of your own, a model's file, or the swarm."
        actions={
          <>
            <Action.Push
              title="Choose Another…"
              icon={Icon.Switch}
              shortcut={SHORTCUTS.models}
              target={<EnginePicker controls={controls} />}
            />
          </>
        }
      />
    </List.Section>
  );
}
