import { BAR_MARKS, blockBar, gapsOf, missingText } from "../../lib/sharing/block-bar";
import type { BlockRange } from "../../lib/sharing/blocks";
import { codeBlock } from "./words";

/** Marks that fit into a line of the pane beside a list. */
const PANE_MARKS = 40;

/** The blocks of a model as a bar, with its legend and what is missing; Markdown. */
export function mapText(online: readonly number[], own: BlockRange | null): string {
  const bar = `0 ${blockBar(online, own, PANE_MARKS)} ${online.length - 1}`;
  const legend = `${BAR_MARKS.own} this computer  ${BAR_MARKS.others} others  ${BAR_MARKS.missing} missing`;
  return [codeBlock(`${bar}\n\n${legend}`), missingText(gapsOf(online)) ?? "Every block is served."].join("\n\n");
}

/** What there is to do about being alone in a swarm. @param invite to it, where others can join it by one */
export function aloneText(invite: string | undefined, isPrivate: boolean): string {
  if (invite !== undefined) return "Nobody else serves it now: copy the invite, and send it to somebody.";
  return isPrivate
    ? "Nobody else can serve it: this swarm is open to this computer only. One that is shared with options can be opened to the local network."
    : "Nobody else serves it now.";
}
