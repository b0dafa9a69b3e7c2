import { Action, ActionPanel, Icon, List, useNavigation } from "@raycast/api";
import { usePromise } from "@raycast/utils";
import { useMemo, useRef } from "react";
import { sharePreferences } from "../../hooks/share-preferences";
import type { ShareJobs } from "../../hooks/use-share-jobs";
import type { EngineContext } from "../../lib/context";
import { toTorbizError } from "../../lib/errors";
import { countBlocks, rangeText, type BlockRange } from "../../lib/sharing/blocks";
import type { Invite } from "../../lib/sharing/invite";
import { checkJoin, type JoinedSwarm } from "../../lib/sharing/join-check";
import { FailureEmptyView } from "../failure-empty-view";
import { tinted } from "../status-look";
import { SHORTCUTS } from "./shortcuts";

interface JoinFindingsProps {
  context: EngineContext;
  sharing: ShareJobs;
  invite: Invite;
}

/** What is found of a swarm, a row each; Enter joins it with the blocks that help most. */
export function JoinFindings({ context, sharing, invite }: JoinFindingsProps) {
  const { pop } = useNavigation();
  const abortable = useRef<AbortController>(null);
  const swarm = useMemo<JoinedSwarm>(() => ({ kind: "join", peers: invite.peers, invite }), [invite]);
  const { data, error, isLoading, revalidate } = usePromise(
    async (joined: JoinedSwarm) => {
      const { limits, token } = sharePreferences();
      return checkJoin(context, { swarm: joined, limits, token, signal: abortable.current?.signal });
    },
    [swarm],
    { abortable, onError: () => undefined }, // it is shown below
  );
  const isVain = data?.findings.some(({ code }) => code === "already-joined" || code === "no-block-fits");
  const join = () => {
    if (!data) return;
    pop();
    const { model, suggestion } = data;
    void sharing.share(context, { model, swarm, ...(suggestion && { blocks: suggestion }) });
  };
  const actions = (
    <ActionPanel>
      {data && !isVain && <Action title={joinTitle(data.suggestion)} icon={Icon.Play} onAction={join} />}
      <Action title="Refresh" icon={Icon.ArrowClockwise} shortcut={SHORTCUTS.refresh} onAction={revalidate} />
    </ActionPanel>
  );
  return (
    <List navigationTitle="Join by Invite" isLoading={isLoading} searchBarPlaceholder="Search findings">
      {error ? (
        <FailureEmptyView error={toTorbizError(error)} onRetry={revalidate} />
      ) : data ? (
        <List.Section title={data.model.title}>
          {data.findings.map(({ code, warning, sentence }) => (
            <List.Item
              key={code}
              id={code}
              icon={warning ? tinted(Icon.Warning, "warning") : tinted(Icon.CheckCircle, "good")}
              title={sentence}
              actions={actions}
            />
          ))}
        </List.Section>
      ) : (
        <List.EmptyView
          icon={tinted(Icon.MagnifyingGlass, "quiet")}
          title="Looking at the Swarm…"
          description="It takes some seconds."
          actions={actions}
        />
      )}
    </List>
  );
}

function joinTitle(suggestion: BlockRange | null): string {
  if (!suggestion) return "Share in This Swarm";
  return `Share ${countBlocks(suggestion) === 1 ? "Block" : "Blocks"} ${rangeText(suggestion)}`;
}
