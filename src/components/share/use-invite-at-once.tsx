import { useNavigation } from "@raycast/api";
import { useEffect, useRef } from "react";
import type { ShareJobs } from "../../hooks/use-share-jobs";
import type { Overview } from "../../lib/sharing/overview";
import { JoinByInvite } from "./join-by-invite";

/**
 * Opens the invite that the command was launched with, once, as soon as there is an image to look with.
 *
 * @example
 * useInviteAtOnce(isInvite(text) ? text : undefined, overview, sharing);
 */
export function useInviteAtOnce(text: string | undefined, overview: Overview | undefined, sharing: ShareJobs): void {
  const wanted = useRef(text);
  const { push } = useNavigation();

  useEffect(() => {
    if (wanted.current === undefined || (overview?.screen !== "choose" && overview?.screen !== "live")) return;
    const invite = wanted.current;
    wanted.current = undefined;
    push(<JoinByInvite context={overview.context} sharing={sharing} text={invite} />);
  }, [overview, push, sharing]);
}
