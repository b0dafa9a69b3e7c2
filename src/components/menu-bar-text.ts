import { Icon, type Image } from "@raycast/api";
import type { Look, Seen } from "../hooks/use-sharing-status";
import { percentText } from "../lib/sharing/download-text";
import { finishText } from "../lib/sharing/finish-text";
import { noticesOf } from "../lib/sharing/notices";
import type { SharingStatus } from "../lib/sharing/status";
import { stageTitle } from "./share/stages";
import { count, dateWords, shortened, swarmTextWords, timeLeft } from "./share/words";
import { lookOf, STATUS_LOOK, tinted } from "./status-look";
import { blocksText, modelTitle, sessionsText } from "./status-text";
import { agoText, durationText } from "./time-text";

/** What the menu bar itself shows. */
interface Head {
  icon: Image.ImageLike;
  /** As short as can be: the menu bar is narrow. Undefined while there is nothing to say. */
  title?: string;
  tooltip: string;
}

/** A line of the menu that only tells. */
export interface Line {
  icon: Image.ImageLike;
  title: string;
  subtitle?: string;
  tooltip?: string;
}

/** For how long the end of a build is news. */
const NEWS_MS = 15 * 60_000;
/** A menu grows as wide as its longest line. */
const LINE_LENGTH = 72;

/** Icon, word and tooltip. A state that nobody can confirm now is marked with a question mark. */
export function headOf({ seen, failure }: Look): Head {
  const title = seen && titleOf(seen.status);
  if (failure) {
    const known = seen ? ` Last known: ${lastKnown(seen)}.` : "";
    return {
      icon: STATUS_LOOK.unknown.icon,
      title: title && `${title}?`,
      tooltip: `Torbiz: ${failure.title}.${known}`,
    };
  }
  if (!seen) return { icon: STATUS_LOOK.absent.icon, tooltip: "Torbiz" };
  const { icon, word } = newsOf(seen.status) ?? lookOf(seen.status);
  return { icon, title, tooltip: `Torbiz: ${word}` };
}

/** A state and its age: "Sharing, 3 min ago". */
export function lastKnown({ status, at }: Seen): string {
  return `${STATUS_LOOK[status.state].word}, ${agoText(at)}`;
}

/** All that is known of a share, line by line; nothing where there is nothing to say. */
export function linesOf(status: SharingStatus): Line[] {
  const { state, build, blocks, model, swarm, since, tokens, message } = status;
  const news = newsOf(status);
  const lines: (Line | false | null | undefined)[] = [
    state === "starting" && { icon: Icon.List, ...lineOf(stageTitle(status)) },
    build && {
      icon: Icon.List,
      ...lineOf(message ?? "Building"),
      subtitle: buildText(build),
    },
    since !== null && {
      icon: Icon.Clock,
      title: `For ${durationText(Date.now() - Date.parse(since))}`,
      subtitle: `Since ${dateWords(since)}`,
    },
    model !== null && {
      icon: Icon.Box,
      title: modelTitle(status),
      subtitle: swarm === null ? undefined : swarmTextWords(swarm),
    },
    blocks && { icon: Icon.Layers, title: blocksText(status) ?? "" },
    (state === "online" || state === "finishing") && {
      icon: Icon.TwoPeople,
      title: sessionsText(status),
      subtitle: `${count(tokens, "token")} served`,
    },
    state === "finishing" && { icon: Icon.Clock, ...lineOf(sentence(finishText(status))) },
    ...noticesOf(status).map(({ title, text }) => ({ icon: Icon.Warning, title, tooltip: text })),
    !build && message !== null && { icon: state === "exited" ? Icon.Warning : Icon.Info, ...lineOf(message) },
    news && { icon: news.icon, ...lineOf(news.message), subtitle: agoText(news.at) },
  ];
  return lines.filter((line) => !!line);
}

function buildText({ percent, secondsLeft }: NonNullable<SharingStatus["build"]>): string {
  const done = `${Math.round(percent * 100)}%`;
  return secondsLeft === null ? done : `${done}, ${timeLeft(secondsLeft).toLowerCase()} left`;
}

/** A sentence as a line: whole in the tooltip where it is too long for a menu. */
export function lineOf(sentence: string): { title: string; tooltip?: string } {
  const title = shortened(sentence, LINE_LENGTH);
  return title === sentence ? { title } : { title, tooltip: sentence };
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}

function titleOf(status: SharingStatus): string | undefined {
  const { state, build, blocks, download, sessions } = status;
  switch (state) {
    case "absent":
      return newsOf(status)?.word;
    case "building":
      return build ? `Building ${build.step}/${build.steps}` : "Building";
    case "starting":
      if (download) return `Downloading ${percentText(download)}`;
      return blocks && blocks.loaded < blocks.total ? `Starting ${blocks.loaded}/${blocks.total}` : "Starting";
    case "online":
      return sessions > 0 ? `Sharing · ${sessions}` : "Sharing";
    default:
      return STATUS_LOOK[state].word;
  }
}

interface News {
  icon: Image.ImageLike;
  word: string;
  message: string;
  /** ISO-8601 UTC. */
  at: string;
}

/** The end of a build that a person may be waiting for. One who cancelled it knows. */
function newsOf({ lastBuild }: SharingStatus): News | undefined {
  if (!lastBuild || Date.now() - Date.parse(lastBuild.at) > NEWS_MS) return undefined;
  const { outcome, at, message } = lastBuild;
  switch (outcome) {
    case "done":
      return { icon: tinted(Icon.CheckCircle, "good"), word: "Image Built", message: "The image is ready.", at };
    case "failed":
      return {
        icon: tinted(Icon.XMarkCircle, "bad"),
        word: "Build Failed",
        message: message ?? "The image couldn't be built.",
        at,
      };
    case "cancelled":
      return undefined;
  }
}
