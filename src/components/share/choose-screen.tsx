import { Action, Icon, List } from "@raycast/api";
import { choiceOf } from "../../hooks/share-choice";
import { useSpeeds } from "../../hooks/use-speeds";
import { sharePreferences } from "../../hooks/share-preferences";
import { toTorbizError, type TorbizError } from "../../lib/errors";
import type { EngineContext } from "../../lib/context";
import type { ImageState } from "../../lib/docker/build/state";
import { knownModels } from "../../lib/hub/known-models";
import type { Model } from "../../lib/models";
import { lastChoice } from "../../lib/sharing/last-choice";
import { resourceLimits, type Limits } from "../../lib/sharing/limits";
import type { SharePreferences } from "../../lib/sharing/preferences";
import { tinted } from "../status-look";
import { titleCase } from "../title-case";
import { ContributionSection } from "./contribution-section";
import type { Controls } from "./controls";
import { FactRow } from "./fact-row";
import { OpenGuideAction, OpenPreferencesAction } from "./help-actions";
import { HubModelRow } from "./hub-model-row";
import { JoinRow } from "./join-row";
import { ModelRow } from "./model-row";
import { SHORTCUTS } from "./shortcuts";
import { UpdateImageRow } from "./update-image-row";

interface ChooseScreenProps {
  context: EngineContext;
  image: ImageState;
  controls: Controls;
}

/** What can be shared: the last choice first, so that sharing again is Enter. */
export function ChooseScreen({ context, image, controls }: ChooseScreenProps) {
  const plan = readPlan(context);
  const limits = "error" in plan ? undefined : plan.limits;
  const { speeds, measure } = useSpeeds(context, limits);
  if ("error" in plan) {
    const { title, message, hint } = plan.error;
    return (
      <FactRow
        id="preferences"
        title={titleCase(title)}
        icon={tinted(Icon.Warning, "warning")}
        markdown={`${message}\n\n${hint}`}
        actions={
          <>
            <OpenPreferencesAction />
            <Action
              title="Try Again"
              icon={Icon.ArrowClockwise}
              shortcut={SHORTCUTS.refresh}
              onAction={controls.refresh}
            />
            <OpenGuideAction />
          </>
        }
      />
    );
  }
  const { preferences } = plan;
  const last = lastChoice(context);
  const models = knownModels(context.paths);
  const again = last && choiceOf(last, models);
  const row = { context, image, controls, preferences, limits: plan.limits, onMeasure: measure };
  return (
    <>
      {again && (
        <List.Section title="Last Choice">
          <ModelRow {...row} id="last-choice" choice={again} speed={speeds.get(again.model.id)} />
        </List.Section>
      )}
      <List.Section title="Models">
        {inOrder(models, preferences.model).map((model) => (
          <ModelRow key={model.id} {...row} id={model.id} choice={{ model }} speed={speeds.get(model.id)} />
        ))}
        <HubModelRow context={context} controls={controls} token={preferences.token} />
        <JoinRow context={context} controls={controls} />
      </List.Section>
      {image === "outdated" && (
        <List.Section title="Image">
          <UpdateImageRow context={context} controls={controls} />
        </List.Section>
      )}
      <ContributionSection context={context} onRefresh={controls.refresh} />
    </>
  );
}

type Plan = { preferences: SharePreferences; limits: Limits } | { error: TorbizError };

function readPlan({ facts }: EngineContext): Plan {
  try {
    const preferences = sharePreferences();
    return { preferences, limits: resourceLimits(facts, preferences.limits) };
  } catch (error) {
    return { error: toTorbizError(error) };
  }
}

/** The preferred one first. */
function inOrder(models: readonly Model[], preferred: string | undefined): Model[] {
  return models.toSorted((a, b) => Number(b.id === preferred) - Number(a.id === preferred));
}
