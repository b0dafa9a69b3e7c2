import { randomBytes } from "node:crypto";
import {
  close,
  closeSync,
  constants,
  createReadStream,
  fstatSync,
  fsync,
  openSync,
  readSync,
  writeSync,
} from "node:fs";
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { TorbizError } from "../../errors";
import { oneLine } from "./titles";
import { Conversation, type ConversationSummary } from "./conversation";
import { ConversationReader } from "./conversation-reader";
import { MAX_LINE_BYTES } from "./line-splitter";
import type { RecordedError } from "./records";
import { findInConversation, type ConversationMatch } from "./search";

export interface NewMessage {
  role: "user" | "system";
  content: string;
  /** Id of what it follows. */
  parent: string | null;
}

export interface ConversationHit extends ConversationSummary {
  matches: ConversationMatch[];
}

export interface ListOptions {
  /** The most conversations to give. */
  limit?: number;
}

export interface SearchOptions extends ListOptions {
  /** Ends the search; what was found until then is given. */
  signal?: AbortSignal;
}

const FILE = /^(c-[0-9a-z]{1,64})\.jsonl$/;

/** By how much a file can look older than what was just written to it: file systems keep coarse times, some whole seconds. */
const CLOCK_MS = 2_000;

/** What is known of a file as long as it stays the same. */
interface Known {
  size: number;
  mtimeMs: number;
  summary: ConversationSummary | undefined;
}

/**
 * The conversations of a home folder: one append-only file each, which only its user can read. Ask servers append to the
 * same files, so nothing here ever rewrites one.
 *
 * @example
 * const store = new ConversationStore(paths.conversations);
 * const id = await store.create();
 * const question = await store.appendMessage(id, { role: "user", content: "Why?", parent: null });
 */
export class ConversationStore {
  private readonly known = new Map<string, Known>();

  constructor(private readonly folder: string) {}

  /** Where a conversation lies, absolute: ask servers append to it. */
  pathOf(id: string): string {
    if (!FILE.test(`${id}.jsonl`)) throw unknown(id);
    return join(this.folder, `${id}.jsonl`);
  }

  /** Begins a conversation; returns its id. One without a question isn't listed. */
  async create(): Promise<string> {
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    const id = newId("c");
    this.append(id, { type: "conversation", version: 1, id, at: now() }, constants.O_CREAT | constants.O_EXCL);
    return id;
  }

  /** Newest first. Reads only as many files as that takes, and none that it has read before and that is as it was. */
  async list({ limit = Infinity }: ListOptions = {}): Promise<ConversationSummary[]> {
    const found: ConversationSummary[] = [];
    for await (const summary of this.newestFirst()) {
      if (found.length >= limit) break;
      found.push(summary);
    }
    return found;
  }

  /** @throws TorbizError conversation-unknown */
  async read(id: string): Promise<Conversation> {
    return readConversation(id, this.pathOf(id), true);
  }

  /**
   * Adds a question or instructions; returns its id. It is in the file when this returns, and on the disk soon after.
   * @throws TorbizError conversation-unknown, prompt-too-long, disk-full
   */
  appendMessage(id: string, { role, content, parent }: NewMessage): Promise<string> {
    const message = newId("m");
    return this.appending(() => {
      this.append(id, { type: "message", id: message, parent, role, content, at: now() });
      return message;
    });
  }

  /**
   * Gives a conversation a name.
   * @throws TorbizError conversation-unknown, usage when the name is empty
   */
  rename(id: string, title: string): Promise<void> {
    return this.appending(() => {
      const line = oneLine(title);
      if (line === "")
        throw new TorbizError("usage", "A conversation's name can't be empty.", { hint: "Enter a name." });
      this.append(id, { type: "title", title: line, at: now() });
    });
  }

  /**
   * Notes that an answer broke off, for a server that died before it could. One that has ended is left as it is.
   * @throws TorbizError conversation-unknown
   */
  async fail(id: string, generation: string, error: RecordedError): Promise<void> {
    const node = (await this.read(id)).nodes.get(generation);
    if (node?.kind !== "answer" || node.ended) return;
    const usage = { promptTokens: 0, completionTokens: 0, cachedTokens: 0 };
    const figures = { usage, firstTokenSeconds: 0, tokensPerSecond: 0, route: null };
    this.append(id, { type: "end", of: generation, reason: "failed", error, ...figures, at: now() });
  }

  /**
   * Notes why a question reached no engine. One that has an answer is left as it is.
   * @throws TorbizError conversation-unknown
   */
  async noteUnasked(id: string, question: string, error: RecordedError): Promise<void> {
    const conversation = await this.read(id);
    const node = conversation.nodes.get(question);
    if (node?.kind !== "message" || !conversation.whyUnasked(node)) return;
    this.append(id, { type: "unasked", of: question, error, at: now() });
  }

  /**
   * Erases a conversation. A generation in it should be stopped first.
   * @throws TorbizError conversation-unknown
   */
  async remove(id: string): Promise<void> {
    try {
      await rm(this.pathOf(id));
    } catch (error) {
      throw isMissing(error) ? unknown(id) : error;
    }
  }

  /** Erases all; returns how many there were. */
  async removeAll(): Promise<number> {
    const ids = await this.ids();
    await Promise.all(ids.map((id) => rm(this.pathOf(id), { force: true })));
    return ids.length;
  }

  /**
   * Finds a text in titles, questions and answers, newest conversations first; case and accents don't matter.
   *
   * @example
   * await store.search("cafe"); // finds "Café"
   */
  async search(text: string, { limit = 50, signal }: SearchOptions = {}): Promise<ConversationHit[]> {
    const hits: ConversationHit[] = [];
    if (text.trim() === "") return hits;
    for await (const summary of this.newestFirst()) {
      if (signal?.aborted || hits.length >= limit) break;
      const conversation = await this.read(summary.id).catch(() => undefined);
      const matches = conversation ? findInConversation(conversation, text) : [];
      if (matches.length > 0) hits.push({ ...summary, matches });
    }
    return hits;
  }

  private async ids(): Promise<string[]> {
    const names = await readdir(this.folder).catch((error: unknown) => {
      if (isMissing(error)) return [];
      throw error;
    });
    return names.flatMap((name) => FILE.exec(name)?.[1] ?? []);
  }

  /** No file is older than its newest question, so they are read from the youngest on, until none of the rest can be newer. */
  private async *newestFirst(): AsyncGenerator<ConversationSummary> {
    const ids = await this.ids();
    const stats = await Promise.all(
      ids.map(async (id) => ({ id, file: await stat(this.pathOf(id)).catch(() => undefined) })),
    );
    const files = stats.flatMap(({ id, file }) => (file ? [{ id, size: file.size, mtimeMs: file.mtimeMs }] : []));
    files.sort((one, other) => other.mtimeMs - one.mtimeMs);
    let read: ConversationSummary[] = [];
    for (const { id, size, mtimeMs } of files) {
      const ready = read.filter(({ changedAt }) => Date.parse(changedAt) > mtimeMs + CLOCK_MS);
      yield* ready;
      read = read.slice(ready.length);
      const summary = await this.summary(id, size, mtimeMs);
      if (!summary) continue;
      const place = read.findIndex(({ changedAt }) => changedAt < summary.changedAt);
      read.splice(place === -1 ? read.length : place, 0, summary);
    }
    yield* read;
  }

  /** undefined for one in which nothing was asked yet, or that is gone. */
  private async summary(id: string, size: number, mtimeMs: number): Promise<ConversationSummary | undefined> {
    const known = this.known.get(id);
    if (known?.size === size && known.mtimeMs === mtimeMs) return known.summary;
    const conversation = await readConversation(id, this.pathOf(id), false).catch(() => undefined);
    const summary = conversation && conversation.nodes.size > 0 ? summaryOf(conversation) : undefined;
    this.known.set(id, { size, mtimeMs, summary });
    return summary;
  }

  // What is written is small: it is done before anything else can happen, and still fails as a promise does.
  private appending<Value>(write: () => Value): Promise<Value> {
    return new Promise((resolve) => resolve(write()));
  }

  /** One record in one write, on a line of its own even where another's writing broke off. */
  private append(id: string, record: object, flags = 0): void {
    const path = this.pathOf(id);
    const line = Buffer.from(`\n${JSON.stringify(record)}\n`);
    if (line.length > MAX_LINE_BYTES)
      throw new TorbizError("prompt-too-long", "A question of this size can't be kept.");
    let file: number;
    try {
      file = openSync(path, constants.O_RDWR | constants.O_APPEND | flags, 0o600);
    } catch (error) {
      throw isMissing(error) ? unknown(id) : error;
    }
    try {
      let start = endsInNewline(file) ? 1 : 0;
      while (start < line.length) start += writeSync(file, line, start);
    } catch (error) {
      closeSync(file);
      throw error;
    }
    // Nobody should wait for the disk before the answer begins.
    fsync(file, () => close(file));
  }
}

/** An empty file does, too: nothing stands before its first line. */
function endsInNewline(file: number): boolean {
  const { size } = fstatSync(file);
  const last = Buffer.alloc(1);
  return size === 0 || (readSync(file, last, 0, 1, size - 1) === 1 && last[0] === 0x0a);
}

async function readConversation(id: string, path: string, withTexts: boolean): Promise<Conversation> {
  const reader = new ConversationReader(withTexts);
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 256 * 1024 })) reader.feed(chunk as Buffer);
  } catch (error) {
    throw isMissing(error) ? unknown(id) : error;
  }
  const { mtime } = await stat(path).catch(() => ({ mtime: new Date() }));
  return reader.finish(id, mtime.toISOString());
}

function summaryOf({ id, title, createdAt, changedAt, turns, lastEngine }: Conversation): ConversationSummary {
  return { id, title, createdAt, changedAt, turns, ...(lastEngine && { lastEngine }) };
}

/** An id for a conversation ("c"), a message ("m") or a generation ("g"). */
export function newId(kind: "c" | "m" | "g"): string {
  return `${kind}-${randomBytes(8).toString("hex")}`;
}

function now(): string {
  return new Date().toISOString();
}

function unknown(id: string): TorbizError {
  return new TorbizError("conversation-unknown", `There is no conversation ${id}.`);
}

function isMissing(error: unknown): boolean {
  return typeof error === "object" && error !== null && (error as NodeJS.ErrnoException).code === "ENOENT";
}
