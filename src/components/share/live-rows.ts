import { Icon, type Image } from "@raycast/api";
import type { Stats } from "../../hooks/use-stats";
import { gigabytes } from "../../lib/sharing/fit";
import type { Progress } from "../../lib/progress";
import type { Overview } from "../../lib/sharing/overview";
import type { SharingStatus } from "../../lib/sharing/status";
import { STATUS_LOOK, tinted } from "../status-look";
import { blocksText, modelTitle, sessionsText } from "../status-text";
import { durationText } from "../time-text";
import type { Fact } from "./fact-row";
import { stageFacts, stageTitle } from "./stages";
import { computesWith, count, dateWords, swarmTextWords } from "./words";

export type Live = Extract<Overview, { screen: "live" }>;

interface LiveRow {
  id: "status" | "blocks" | "peer" | "sessions" | "since" | "usage" | "log";
  title: string;
  subtitle?: string;
  icon: Image.ImageLike;
  markdown?: string;
  facts?: Fact[];
}

interface Heard {
  /** What its container uses, once Docker has told. */
  stats?: Stats;
  /** What the start of this window said last. */
  heard?: Progress;
}

/** What there is to tell of a share, as rows. */
export function liveRows({ context, status }: Live, { stats, heard }: Heard): LiveRow[] {
  const { blocks, peerId, since, throughput } = status;
  return [
    statusRow(status, heard),
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
    {
      id: "peer",
      title: "Peer",
      // The ends tell peers apart: all begin alike.
      subtitle: peerId ? `…${peerId.slice(-8)}` : "Not Known Yet",
      icon: Icon.Fingerprint,
      markdown: peerText(status),
      facts: status.reachability ? [{ title: "Reachable", text: status.reachability }] : [],
    },
    {
      id: "sessions",
      title: "Serving",
      subtitle: status.state === "online" ? sessionsText(status) : undefined,
      icon: Icon.TwoPeople,
      markdown: computesWith(context),
      facts: [
        { title: "Sessions Now", text: String(status.sessions) },
        { title: "Tokens Served", text: status.tokens.toLocaleString("en-US") },
        ...(throughput === null ? [] : [{ title: "Announced Throughput", text: `${throughput.toFixed(1)} tokens/s` }]),
      ],
    },
    {
      id: "since",
      title: "Running Since",
      subtitle: since ? durationText(Date.now() - Date.parse(since)) : "Not Online Yet",
      icon: Icon.Clock,
      markdown: since ? undefined : "It counts from when peers can use it.",
      facts: since
        ? [
            { title: "Online Since", text: dateWords(since) },
            { title: "For", text: durationText(Date.now() - Date.parse(since)) },
          ]
        : [],
    },
    {
      id: "usage",
      title: "CPU and Memory",
      subtitle: stats && gigabytes(stats.memoryBytes),
      icon: Icon.MemoryChip,
      markdown: stats ? undefined : "Docker hasn't told yet.",
      facts: stats && [
        { title: "CPU", text: `${stats.cpus.toFixed(1)} of ${count(context.facts.cpus, "processor")}` },
        { title: "Memory", text: `${gigabytes(stats.memoryBytes)} of ${gigabytes(stats.memoryLimitBytes)}` },
      ],
    },
    {
      id: "log",
      title: "Log",
      icon: tinted(Icon.List, "quiet"),
      markdown: "What the container says as it comes, with what Docker did to it in between.",
    },
  ];
}

function statusRow(status: SharingStatus, heard: Progress | undefined): LiveRow {
  const { state, message, swarm, port } = status;
  const { word, icon } = STATUS_LOOK[state];
  const isStarting = state === "starting";
  const sentence = state === "online" ? "Peers can use it. It goes on when you close this window." : undefined;
  return {
    id: "status",
    title: "Status",
    subtitle: word,
    icon,
    markdown: [`**${isStarting ? stageTitle({ ...status, heard }) : word}**`, message ?? sentence]
      .filter(Boolean)
      .join("\n\n"),
    facts: [
      ...(isStarting ? stageFacts({ ...status, heard }) : []),
      { title: "Model", text: modelTitle(status) },
      ...(swarm ? [{ title: "Swarm", text: swarmTextWords(swarm) }] : []),
      ...(port ? [{ title: "Port", text: String(port) }] : []),
    ],
  };
}

function peerText({ peerId, addresses }: SharingStatus): string {
  if (!peerId) return "This computer's name in the swarm is known when it has joined.";
  return ["**Peer ID**", `\`${peerId}\``, "**Addresses**", ...addresses.map((address) => `\`${address}\``)].join(
    "\n\n",
  );
}
