import { runningGenerations, stopGeneration } from "../lib/ask/ask";
import type { Conversation, ConversationSummary } from "../lib/ask/conversations/conversation";
import { toJson, toMarkdown } from "../lib/ask/conversations/export-conversation";
import { ConversationStore, type ConversationHit } from "../lib/ask/conversations/store";
import { TorbizError } from "../lib/errors";
import { mustAgree } from "./must-agree";
import type { Session } from "./session";
import { table } from "./table";
import { writeNew } from "./write-new";

const storeOf = ({ surroundings }: Session) => new ConversationStore(surroundings.paths.conversations);

export interface ConversationListFlags {
  /** The most to show. */
  number: number;
  /** Only those that have this text. */
  search?: string;
}

/** `torbiz conversations list`: newest first; with `--search`, where the text was found. */
export async function runConversationsList(session: Session, { number, search }: ConversationListFlags): Promise<void> {
  const store = storeOf(session);
  const { output, signal } = session;
  if (search === undefined) {
    const conversations = await store.list({ limit: number });
    output.result(
      { conversations },
      conversations.length > 0 ? table(conversations.map(row)) : "No conversations yet.",
    );
    return;
  }
  const conversations = await store.search(search, { limit: number, signal });
  output.result({ conversations }, conversations.map(describeHit).join("\n") || "No conversation has that.");
}

function row({ id, changedAt, turns, lastEngine, title }: ConversationSummary): string[] {
  const questions = turns === 1 ? "1 question" : `${turns} questions`;
  return [id, new Date(changedAt).toLocaleString(), questions, lastEngine?.title ?? "", title];
}

function describeHit({ id, title, matches }: ConversationHit): string {
  return [`${id}  ${title}`, ...matches.map((match) => `    ${match.in}: ${match.excerpt}`)].join("\n");
}

/** `torbiz conversations show`: the newest where none is named. */
export async function runConversationsShow(session: Session, id: string | undefined): Promise<void> {
  const conversation = await find(session, id);
  warnOfDamage(session, conversation);
  session.output.result(asFields(conversation), toMarkdown(conversation).trimEnd());
}

export interface ConversationExportFlags {
  format: "markdown" | "json";
  /** A file to make; stdout where none is named. */
  output?: string;
}

/** `torbiz conversations export`. A file that is there already is left alone. */
export async function runConversationsExport(
  session: Session,
  id: string | undefined,
  { format, output: file }: ConversationExportFlags,
): Promise<void> {
  const conversation = await find(session, id);
  warnOfDamage(session, conversation);
  const content = format === "json" ? toJson(conversation) : toMarkdown(conversation);
  if (file === undefined) {
    session.output.result({ format, content }, content.trimEnd());
    return;
  }
  const path = writeNew(file, content);
  session.output.result({ format, path }, `Wrote ${path}.`);
}

/** `torbiz conversations rename`. */
export async function runConversationsRename(session: Session, id: string, title: string): Promise<void> {
  const store = storeOf(session);
  await store.rename(id, title);
  const conversation = await store.read(id);
  session.output.result({ id, title: conversation.title }, `It is now called "${conversation.title}".`);
}

export interface ConversationDeleteFlags {
  all?: boolean;
  yes?: boolean;
}

/** `torbiz conversations delete`: after a yes, for good. What is being written in them is stopped first. */
export async function runConversationsDelete(
  session: Session,
  id: string | undefined,
  { all, yes }: ConversationDeleteFlags,
): Promise<void> {
  const { output } = session;
  if ((id === undefined) === !all) {
    throw new TorbizError("usage", "Name one conversation, or all of them.", {
      hint: "Choose what to delete.",
      cliHint: "`torbiz conversations delete ID`, or --all.",
    });
  }
  const store = storeOf(session);
  if (id === undefined) {
    const { length } = await store.list();
    if (!yes) await mustAgree(session, `Delete all ${length} conversations for good?`);
    await stopIn(session);
    const deleted = await store.removeAll();
    output.result({ deleted }, deleted === 0 ? "There were none." : `Deleted ${length} conversations.`);
    return;
  }
  const { title } = await store.read(id);
  if (!yes) await mustAgree(session, `Delete "${title}" for good?`);
  await stopIn(session, id);
  await store.remove(id);
  output.result({ deleted: 1 }, `Deleted "${title}".`);
}

/** Ends what is being written in a conversation, or in all: it would go on into a file that is gone. */
async function stopIn({ surroundings }: Session, conversation?: string): Promise<void> {
  const running = await runningGenerations(surroundings);
  const meant = running.filter((generation) => conversation === undefined || generation.conversation === conversation);
  await Promise.all(meant.map(({ id }) => stopGeneration(surroundings, id)));
}

async function find(session: Session, id: string | undefined): Promise<Conversation> {
  const store = storeOf(session);
  const meant = id ?? (await store.list({ limit: 1 }))[0]?.id;
  if (meant !== undefined) return store.read(meant);
  throw new TorbizError("conversation-unknown", "There are no conversations yet.", {
    hint: "Ask a question first.",
    cliHint: "`torbiz ask QUESTION` begins one.",
  });
}

function warnOfDamage({ output }: Session, { damagedLines }: Conversation): void {
  if (damagedLines === 0) return;
  output.note(`${damagedLines === 1 ? "One line" : `${damagedLines} lines`} of this conversation can't be read.`);
}

function asFields(conversation: Conversation): Record<string, unknown> {
  const { damagedLines } = conversation;
  return { ...(JSON.parse(toJson(conversation)) as Record<string, unknown>), damagedLines };
}
