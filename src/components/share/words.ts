import { durationText } from "../time-text";
import type { EngineContext } from "../../lib/context";
import type { Model } from "../../lib/models";
import { countBlocks, rangeText, type BlockChoice } from "../../lib/sharing/blocks";
import { parseSwarmText, type Swarm } from "../../lib/sharing/swarm";

/** The swarm for people. */
export function swarmWords(swarm: Swarm): string {
  switch (swarm.kind) {
    case "private":
      return "Private Swarm";
    case "public":
      return "Public Petals Network";
    case "join":
      return "Others' Swarm";
  }
}

/** The swarm of a label or a file for people: as it stands there when nobody can read it. */
export function swarmTextWords(text: string): string {
  try {
    return swarmWords(parseSwarmText(text));
  } catch {
    return text;
  }
}

/** What was chosen of a model: "4 of 30", or "12 to 15, 4 of 30". */
export function chosenBlocks(blocks: BlockChoice, model: Model): string {
  const part = `${countBlocks(blocks)} of ${model.blocks}`;
  return typeof blocks === "number" ? part : `${rangeText(blocks)}, ${part}`;
}

/** What a container can compute with, in a sentence. */
export function computesWith({ platform }: Pick<EngineContext, "platform">): string {
  return platform === "darwin"
    ? "Docker on a Mac cannot reach the GPU: this shares the CPU."
    : "The container computes on the CPU.";
}

/** How long is left, rounded as an estimate deserves. @param seconds null while nobody knows */
export function timeLeft(seconds: number | null): string {
  if (seconds === null) return "Not Known Yet";
  return seconds < 5 ? "A Few Seconds" : `About ${durationText(Math.ceil(seconds / 10) * 10_000)}`;
}

/** A date and time as this computer writes them. */
export function dateWords(iso: string): string {
  return new Date(iso).toLocaleString("en-US", { dateStyle: "medium", timeStyle: "short" });
}

/** Text as a Markdown block that nothing in it can end. */
export function codeBlock(text: string): string {
  return `\`\`\`\`\n${text}\n\`\`\`\``;
}

/** Text that has to fit into one line. @param length of that line, in characters */
export function shortened(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1).trimEnd()}…`;
}

/** "1 block", "12 blocks" */
export function count(number: number, word: string): string {
  return `${number.toLocaleString("en-US")} ${word}${number === 1 ? "" : "s"}`;
}

/** The ends tell peers apart: all begin alike. */
export function shortPeer(peerId: string): string {
  return `…${peerId.slice(-8)}`;
}
