import { Icon, type Image } from "@raycast/api";
import type { Stats } from "../../hooks/use-stats";
import { gapsOf } from "../../lib/sharing/block-bar";
import { rangeText } from "../../lib/sharing/blocks";
import { gigabytes } from "../../lib/sharing/fit";
import type { EngineContext } from "../../lib/context";
import type { Progress } from "../../lib/progress";
import { finishText } from "../../lib/sharing/finish-text";
import { noticesOf } from "../../lib/sharing/notices";
import type { Overview } from "../../lib/sharing/overview";
import type { SharingStatus } from "../../lib/sharing/status";
import { knownModels } from "../../lib/hub/known-models";
import { STATUS_LOOK, tinted } from "../status-look";
import { blocksText, modelTitle, sessionsText } from "../status-text";
import { agoText, durationText } from "../time-text";
import type { Fact } from "./fact-row";
import { stageFacts, stageTitle } from "./stages";
import { aloneText, mapText } from "./map-text";
import { computesWith, count, dateWords, shortPeer, swarmTextWords } from "./words";

export type Live = Extract<Overview, { screen: "live" }>;

interface LiveRow {
  id: "status" | "blocks" | "swarm" | "peer" | "sessions" | "since" | "usage" | "log" | `notice-${string}`;
  title: string;
  subtitle?: string;
  icon: Image.ImageLike;
  markdown?: string;
  facts?: Fact[];
}

interface Known {
  /** What its container uses, once Docker has told. */
  stats?: Stats;
  /** What the start of this window said last. */
  heard?: Progress;
  /** To its swarm, where others can join that. */
  invite?: string;
}

/** What there is to tell of a share, as rows. */
export function liveRows({ context, status }: Live, { stats, heard, invite }: Known): LiveRow[] {
  const { blocks, peerId, reachability, since } = status;
  const usage = stats && usageFacts(stats, context);
  return [
    statusRow(status, { heard, usage, all: blocksOf(status, context) }),
    ...noticesOf(status).map(({ title, text }): LiveRow => ({
      id: `notice-${title}`,
      title,
      icon: tinted(Icon.Warning, "warning"),
      markdown: text,
    })),
    {
      id: "blocks",
      title: "Blocks",
      subtitle: blocks ? `${blocks.loaded} of ${blocks.total}` : "Not Known Yet",
      icon: Icon.Layers,
      markdown: blocksText(status) ?? "Which blocks it serves is settled when it has joined the swarm.",
      facts: blocks
        ? [
            { title: "Loaded", text: `${blocks.loaded} of ${blocks.total}` },
            { title: "First", text: String(blocks.start) },
            { title: "Last", text: String(blocks.end - 1) },
          ]
        : [],
    },
    swarmRow(status, invite),
    {
      id: "peer",
      title: "Peer",
      subtitle: peerId ? shortPeer(peerId) : "Not Known Yet",
      icon: Icon.Fingerprint,
      markdown: peerText(status),
      facts: reachability ? [{ title: "Reachable", text: REACHABLE[reachability] ?? reachability }] : [],
    },
    {
      id: "sessions",
      title: "Serving",
      subtitle: status.state === "online" || status.state === "finishing" ? sessionsText(status) : undefined,
      icon: Icon.TwoPeople,
      markdown: computesWith(context),
      facts: servedFacts(status),
    },
    {
      id: "since",
      title: "Running For",
      subtitle: since ? durationText(Date.now() - Date.parse(since)) : "Not Online Yet",
      icon: Icon.Clock,
      markdown: since ? undefined : "It counts from when peers can use it.",
      facts: since ? [{ title: "Online Since", text: dateWords(since) }] : [],
    },
    {
      id: "usage",
      title: "CPU and Memory",
      subtitle: stats && gigabytes(stats.memoryBytes),
      icon: Icon.MemoryChip,
      markdown: stats ? undefined : "Docker hasn't told yet.",
      facts: usage,
    },
    {
      id: "log",
      title: "Log",
      icon: tinted(Icon.List, "quiet"),
      markdown: "What the container says as it comes, with what Docker did to it in between.",
    },
  ];
}

/** Who serves the model's blocks, as its server read it within the last half minute. */
function swarmRow({ glance, blocks, swarm }: SharingStatus, invite: string | undefined): LiveRow {
  const facts = swarm ? [{ title: "Swarm", text: swarmTextWords(swarm) }] : [];
  const row = { id: "swarm", title: "Swarm", icon: Icon.Network, facts } as const;
  if (!glance)
    return { ...row, subtitle: "Not Known Yet", markdown: "Who else serves it is known soon after it is online." };
  const { online, peers } = glance;
  return {
    ...row,
    subtitle: count(peers, "peer"),
    markdown: [mapText(online, blocks), ...(peers === 0 ? [aloneText(invite, swarm === "private")] : [])].join("\n\n"),
    facts: [
      ...facts,
      { title: "Other Peers", text: peers === 0 ? "0: Nobody Else Now" : String(peers) },
      ...(blocks ? [{ title: "This Computer", text: rangeText(blocks) }] : []),
      { title: "Missing", text: gapsOf(online).map(rangeText).join(", ") || "None" },
    ],
  };
}

/** All that matters, at a glance; on the way there the stages. */
function statusRow(
  status: SharingStatus,
  { heard, usage = [], all }: { heard?: Progress; usage?: Fact[]; all?: number },
): LiveRow {
  const { state, message, swarm, port, peerId, since } = status;
  const { word, icon } = STATUS_LOOK[state];
  const isStarting = state === "starting";
  const blocks = blocksRange(status, all);
  return {
    id: "status",
    title: "Status",
    subtitle: word,
    icon,
    markdown: isStarting
      ? [`**${stageTitle({ ...status, heard })}**`, message].filter(Boolean).join("\n\n")
      : (message ?? stateSentence(status)),
    facts: [
      ...(isStarting ? stageFacts({ ...status, heard }) : []),
      { title: "Model", text: modelTitle(status) },
      ...(swarm ? [{ title: "Swarm", text: swarmTextWords(swarm) }] : []),
      ...(isStarting
        ? []
        : [
            ...(blocks ? [{ title: "Blocks", text: blocks }] : []),
            ...(peerId ? [{ title: "Peer ID", text: shortPeer(peerId) }] : []),
            ...countFacts(status),
            // The pane has room for one: what was measured tells more.
            ...speedFacts(status).slice(-1),
            ...(since ? [{ title: "Since", text: dateWords(since) }] : []),
            ...usage,
          ]),
      ...(port ? [{ title: "Port", text: String(port) }] : []),
    ],
  };
}

/** In one line: the facts fill the rest of the pane. */
function stateSentence(status: SharingStatus): string {
  const { state, reachability } = status;
  const { word } = STATUS_LOOK[state];
  if (state === "finishing") return `**${word}**: ${finishText(status)}.`;
  if (state !== "online") return `**${word}**`;
  return reachability === "unreachable"
    ? "Peers can't reach this computer now. It goes on by itself when they can again."
    : "Peers can use it, also when this window is closed.";
}

/** All blocks of its model; undefined for one that an older or newer Torbiz shares. */
function blocksOf({ model: id }: SharingStatus, { paths }: EngineContext): number | undefined {
  return knownModels(paths).find((model) => model.id === id)?.blocks;
}

/** "0 to 29, all 30"; undefined while nobody knows. */
function blocksRange({ blocks }: SharingStatus, all: number | undefined): string | undefined {
  if (!blocks) return undefined;
  const { start, end } = blocks;
  const part = end - start === all ? `all ${all}` : all ? `${end - start} of ${all}` : count(end - start, "block");
  return `${start} to ${end - 1}, ${part}`;
}

function servedFacts(status: SharingStatus): Fact[] {
  const { lastActivity } = status;
  return [
    ...countFacts(status),
    ...speedFacts(status),
    ...(lastActivity === null ? [] : [{ title: "Last Served", text: agoText(lastActivity) }]),
  ];
}

function countFacts({ sessions, tokens }: SharingStatus): Fact[] {
  return [
    { title: "Sessions", text: String(sessions) },
    { title: "Tokens Served", text: tokens.toLocaleString("en-US") },
  ];
}

/** What it announces, then what was measured, as far as they are known. */
function speedFacts({ throughput, served }: SharingStatus): Fact[] {
  return [
    ...(throughput === null ? [] : [{ title: "Throughput", text: `${throughput.toFixed(1)} tokens/s (announced)` }]),
    ...(served === null
      ? []
      : [{ title: "Measured", text: `${served.toFixed(1)} tokens/s (while serving one session)` }]),
  ];
}

function usageFacts({ cpus, memoryBytes, memoryLimitBytes }: Stats, { facts }: EngineContext): Fact[] {
  return [
    { title: "CPU", text: `${cpus.toFixed(1)} of ${count(facts.cpus, "processor")}` },
    { title: "Memory", text: `${gigabytes(memoryBytes)} of ${gigabytes(memoryLimitBytes)}` },
  ];
}

/** How peers reach it, in the words of status.json. */
const REACHABLE: Readonly<Record<string, string>> = {
  local: "On This Computer Only",
  direct: "Directly",
  relayed: "Through Relays",
  unreachable: "By Nobody Now",
  unknown: "Not Known Yet",
};

function peerText({ peerId, addresses }: SharingStatus): string {
  if (!peerId) return "This computer's name in the swarm is known when it has joined.";
  return ["**Peer ID**", `\`${peerId}\``, "**Addresses**", ...addresses.map((address) => `\`${address}\``)].join(
    "\n\n",
  );
}
