import { Action, ActionPanel, Icon } from "@raycast/api";
import type { EngineContext } from "../../lib/context";
import type { ImageState } from "../../lib/docker/build/state";
import { countBlocks } from "../../lib/sharing/blocks";
import { fitOf, gigabytes } from "../../lib/sharing/fit";
import { pageOf } from "../../lib/hub/endpoint";
import { repositoryOf, type Model } from "../../lib/models";
import type { Limits } from "../../lib/sharing/limits";
import type { SharePreferences } from "../../lib/sharing/preferences";
import { outlookOf, rate, type Speed, type SpeedOutlook } from "../../lib/sharing/speed";
import { sizeText } from "../../lib/units";
import type { ShareChoice } from "../../hooks/use-share-jobs";
import { tinted } from "../status-look";
import { CachedModelsAction } from "./cached-models";
import type { Controls } from "./controls";
import { FactRow, type Fact } from "./fact-row";
import { HelpActions } from "./help-actions";
import { ImageActions } from "./image-actions";
import { SwarmMapView } from "./swarm-map-view";
import { ShareForm } from "./share-form";
import { chosenBlocks, computesWith, count, swarmWords } from "./words";

interface ModelRowProps {
  id: string;
  context: EngineContext;
  image: ImageState;
  controls: Controls;
  choice: ShareChoice;
  preferences: SharePreferences;
  limits: Limits;
  /** As it was measured with this model. */
  speed?: Speed;
  onMeasure: (model: Model) => void;
}

/** A model, what of it fits and why, and how it would be shared. */
export function ModelRow({
  id,
  context,
  image,
  controls,
  choice,
  preferences,
  limits,
  speed,
  onMeasure,
}: ModelRowProps) {
  const { model, swarm = preferences.swarm, blocks, lan } = choice;
  const { sharing, refresh } = controls;
  const fit = fitOf(model, limits, context.facts);
  const { word, icon } =
    fit.blocks < countBlocks(blocks ?? 1)
      ? { word: "Doesn't Fit", icon: tinted(Icon.XMarkCircle, "bad") }
      : fit.all || blocks !== undefined
        ? { word: "Fits", icon: tinted(Icon.CheckCircle, "good") }
        : { word: "Fits in Part", icon: tinted(Icon.CircleProgress50, "busy") };
  const page = pageUrl(model, context);
  const port = choice.port ?? preferences.port ?? context.names.port;
  return (
    <FactRow
      id={id}
      title={model.title}
      icon={Icon.Box}
      accessories={[{ icon, tooltip: word }]}
      markdown={[model.note, fit.reason, speed ? outlookOf(model, fit, speed).words : computesWith(context)].join(
        "\n\n",
      )}
      facts={[
        { title: "Fit", text: word, icon },
        { title: "Blocks", text: blocks ? chosenBlocks(blocks, model) : `As Many as Fit (${fit.blocks})` },
        ...(fit.blocks === 0
          ? []
          : [{ title: "Memory", text: `${gigabytes(fit.weightBytes)} + ${gigabytes(fit.cacheBytes)} Cache` }]),
        ...(speed ? [speedFact(outlookOf(model, fit, speed))] : []),
        ...(model.diskBytes > 0 ? [{ title: "Download", text: downloadWords(model) }] : []),
        { title: "License", text: model.gated ? `${model.license} (Asks for Access)` : model.license },
        { title: "Swarm", text: swarmWords(swarm) },
        ...(typeof lan === "string"
          ? [{ title: "Address", text: lan }]
          : swarm.kind === "private"
            ? [{ title: "Open To", text: lan ? "The Local Network" : "This Computer Only" }]
            : []),
        { title: "Port", text: String(port) },
        { title: "Memory Limit", text: `${gigabytes(limits.memoryBytes)} of ${gigabytes(context.facts.memoryBytes)}` },
        {
          title: "Processor Limit",
          text: `${limits.nanoCpus / 1e9} of ${count(context.facts.cpus, "processor")}`,
        },
      ]}
      actions={
        <>
          <ActionPanel.Section>
            <Action title="Share" icon={Icon.Play} onAction={() => sharing.share(context, choice)} />
            <Action.Push
              title="Share with Options…"
              icon={Icon.Cog}
              target={
                <ShareForm
                  choice={{ ...choice, swarm, port }}
                  onSubmit={(wanted) => void sharing.share(context, wanted)}
                />
              }
            />
            {swarm.kind !== "private" && (
              <Action.Push
                title="Show Swarm Map"
                icon={Icon.Map}
                target={
                  <SwarmMapView
                    context={context}
                    model={model}
                    swarm={swarm}
                    onShare={(found) => void sharing.share(context, { ...choice, swarm, blocks: found })}
                  />
                }
              />
            )}
          </ActionPanel.Section>
          <ActionPanel.Section>
            {image !== "missing" && fit.blocks > 0 && (
              <Action title="Measure This Computer" icon={Icon.Gauge} onAction={() => onMeasure(model)} />
            )}
            {page !== undefined && <Action.OpenInBrowser title="Open Model's Page" url={page} />}
            <CachedModelsAction context={context} />
          </ActionPanel.Section>
          <ImageActions context={context} image={image} controls={controls} />
          <HelpActions onRefresh={refresh} />
        </>
      }
    />
  );
}

/** Undefined for the starter, and where the hub's address can't be used: who shares is told of that. */
function pageUrl(model: Model, { env }: EngineContext): string | undefined {
  const repository = repositoryOf(model);
  try {
    return repository === undefined ? undefined : pageOf(repository, env);
  } catch {
    return undefined;
  }
}

function speedFact({ tokensPerSecond, slow }: SpeedOutlook): Fact {
  const text = `${rate(tokensPerSecond)} tokens/s`;
  return slow ? { title: "Speed", text, icon: tinted(Icon.Warning, "warning") } : { title: "Speed", text };
}

/** "2.2 GB for All Blocks, 88 MB Each" */
function downloadWords({ diskBytes, blockFileBytes }: Model): string {
  return `${sizeText(diskBytes)} for All Blocks, ${sizeText(blockFileBytes)} Each`;
}
