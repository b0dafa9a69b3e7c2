import { Action, ActionPanel, Icon, List, useNavigation } from "@raycast/api";
import { usePromise } from "@raycast/utils";
import { useEffect, useRef, type ReactNode } from "react";
import { sharePreferences } from "../../hooks/share-preferences";
import type { EngineContext } from "../../lib/context";
import { toTorbizError } from "../../lib/errors";
import type { Model } from "../../lib/models";
import { helpText } from "../../lib/sharing/block-bar";
import { countBlocks, rangeText, type BlockRange } from "../../lib/sharing/blocks";
import type { Swarm } from "../../lib/sharing/swarm";
import { readSwarmMap, type SwarmMap } from "../../lib/sharing/swarm-map";
import type { SwarmServer } from "../../lib/sharing/swarm-look";
import { FailureEmptyView } from "../failure-empty-view";
import { tinted } from "../status-look";
import { FactRow } from "./fact-row";
import { InviteActions } from "./invite-actions";
import { aloneText, mapText } from "./map-text";
import { SHORTCUTS } from "./shortcuts";
import { count, shortened, shortPeer, swarmWords } from "./words";

interface SwarmMapViewProps {
  context: EngineContext;
  /** What is looked for; the running share's where it has no id. */
  model: Pick<Model, "title"> & Partial<Pick<Model, "id">>;
  /** The running share's when absent. */
  swarm?: Swarm;
  /** To it, where this computer is in it and others can join. */
  invite?: string;
  /** Serves what the map suggests; where nothing is shared yet. */
  onShare?: (blocks: BlockRange) => void;
}

const NAME_LENGTH = 40;
/** From the end of a look to the next: each takes a processor for some seconds. */
const LOOK_AGAIN_MS = 20_000;
const STATE = { joining: "Joining", online: "Online", unreachable: "Doesn't Answer" } as const;

/**
 * Who serves which blocks of a model, read from the swarm itself, and again while it is open: a row for the map, and one
 * for each server.
 */
export function SwarmMapView({ context, model, swarm, invite, onShare }: SwarmMapViewProps) {
  const abortable = useRef<AbortController>(null);
  const {
    data: map,
    error,
    isLoading,
    revalidate,
  } = usePromise(
    async (id?: string, where?: Swarm) => {
      const { limits, token } = sharePreferences();
      return readSwarmMap(context, { model: id, swarm: where, limits, token, signal: abortable.current?.signal });
    },
    [model.id, swarm],
    { abortable, onError: () => undefined }, // it is shown below
  );
  useEffect(() => {
    const timer = isLoading ? undefined : setTimeout(revalidate, LOOK_AGAIN_MS);
    return () => clearTimeout(timer);
  }, [isLoading, revalidate]);
  const actions = (
    <>
      {map?.suggestion && onShare && <ShareSuggestedAction suggestion={map.suggestion} onShare={onShare} />}
      <Action title="Refresh" icon={Icon.ArrowClockwise} shortcut={SHORTCUTS.refresh} onAction={revalidate} />
      {invite !== undefined && <InviteActions invite={invite} />}
    </>
  );
  return (
    <List
      navigationTitle={`Swarm of ${model.title}`}
      isLoading={isLoading}
      isShowingDetail={map !== undefined && !error}
      searchBarPlaceholder="Search servers"
    >
      {error ? (
        <FailureEmptyView error={toTorbizError(error)} onRetry={revalidate} />
      ) : map ? (
        <>
          <FactRow
            id="map"
            title="Map"
            subtitle={count(map.peers, "peer")}
            icon={Icon.Map}
            markdown={mapSentences(map, invite)}
            facts={[
              { title: "Swarm", text: swarmWords(map.swarm) },
              { title: "Blocks", text: String(map.blocks) },
              { title: map.ownPeerId ? "Other Peers" : "Peers", text: String(map.peers) },
            ]}
            actions={actions}
          />
          <List.Section title="Servers">
            {map.servers.map((server) => (
              <ServerRow key={server.peerId} server={server} map={map} actions={actions} />
            ))}
          </List.Section>
        </>
      ) : (
        <List.EmptyView
          icon={tinted(Icon.MagnifyingGlass, "quiet")}
          title="Looking Who Serves Which Blocks…"
          description="It takes some seconds."
          actions={<ActionPanel>{actions}</ActionPanel>}
        />
      )}
    </List>
  );
}

function ServerRow({ server, map, actions }: { server: SwarmServer; map: SwarmMap; actions: ReactNode }) {
  const { peerId, name, state, start, end, throughput, version, relayed } = server;
  const isOwn = peerId === map.ownPeerId;
  return (
    <FactRow
      id={peerId}
      title={`${end - start === 1 ? "Block" : "Blocks"} ${rangeText(server)}`}
      subtitle={isOwn ? "This Computer" : shortened(name ?? shortPeer(peerId), NAME_LENGTH)}
      icon={state === "unreachable" ? tinted(Icon.Warning, "warning") : isOwn ? Icon.ComputerChip : Icon.Globe}
      facts={[
        { title: "State", text: STATE[state] },
        { title: "Throughput", text: `${throughput.toFixed(1)} tokens/s (announced)` },
        { title: "Reachable", text: relayed === null ? "Not Known" : relayed ? "Through Relays" : "Directly" },
        { title: "Petals", text: version ?? "Not Known" },
        { title: "Peer ID", text: peerId },
        ...(name ? [{ title: "Name", text: name }] : []),
      ]}
      actions={
        <>
          {actions}
          <Action.CopyToClipboard title="Copy Peer ID" content={peerId} shortcut={SHORTCUTS.copy} />
        </>
      }
    />
  );
}

interface ShareSuggestedActionProps {
  suggestion: BlockRange;
  onShare: (blocks: BlockRange) => void;
}

function ShareSuggestedAction({ suggestion, onShare }: ShareSuggestedActionProps) {
  const { pop } = useNavigation();
  return (
    <Action
      title={`Share ${countBlocks(suggestion) === 1 ? "Block" : "Blocks"} ${rangeText(suggestion)}`}
      icon={Icon.Play}
      onAction={() => {
        pop();
        onShare(suggestion);
      }}
    />
  );
}

function mapSentences(map: SwarmMap, invite: string | undefined): string {
  const { online, own, peers, ownPeerId, swarm } = map;
  return [
    mapText(online, own),
    ...advice(map),
    ...(ownPeerId !== null && peers === 0 ? [aloneText(invite, swarm.kind === "private")] : []),
  ].join("\n\n");
}

/** What would help the swarm most; nothing where all is served and this computer shares already. */
function advice({ suggestion, fit, missing, ownPeerId }: SwarmMap): string[] {
  if (ownPeerId === null) return [suggestion ? helpText("This computer", suggestion) : fit.reason];
  return suggestion && missing.length > 0 ? [helpText("Another computer", suggestion)] : [];
}
