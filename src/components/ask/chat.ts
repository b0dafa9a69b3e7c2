import { ask, attach, type AskOptions, type WatchOptions } from "../../lib/ask/ask";
import type { Conversation } from "../../lib/ask/conversations/conversation";
import type { ConversationStore } from "../../lib/ask/conversations/store";
import type { Surroundings } from "../../lib/context";
import { toTorbizError, type TorbizError } from "../../lib/errors";
import { leafOf, turnId, turnsOf, type Turn, type Version } from "./turns";

/** A view can't take more renders, each of which carries the whole text. */
const PAINT_MS = 50;

/** What is to be answered. */
export type Request =
  | { prompt: string; edits?: string }
  | { regenerate: string; prompt?: undefined }
  | { continues: string; prompt?: undefined };

/** What a question goes out with. */
export type Asking = Pick<AskOptions, "choice" | "apiKey" | "token" | "system" | "idleMinutes">;

/** The answer that is on its way. */
export interface Live {
  /** Of the turn that it is for. */
  turn: string;
  /** All of it so far, with what it goes on from. */
  text: string;
  /** What is being done before its next word. */
  stage?: string;
  isStopping: boolean;
}

/** What the window shows of its conversation. */
export interface ChatState {
  /** Undefined until something was asked. */
  conversation?: Conversation;
  /** End of the branch that is shown: id of a node. Undefined: the newest. */
  leaf?: string;
  /** Oldest first. */
  turns: readonly Turn[];
  live?: Live;
  /** Why the turn's answer goes no further, or none came. `again` asks for the same once more. */
  failure?: { turn: string; error: TorbizError; again?: Request };
  /** The row to go to: where something was asked last in this window, or another version was chosen. */
  focus?: string;
  isReading: boolean;
}

export interface ChatOptions {
  surroundings: Surroundings;
  store: ConversationStore;
  /** Asks the person whether questions may go to strangers; remembers a yes. */
  onConsent: () => Promise<boolean>;
}

const EMPTY: ChatState = { turns: [], isReading: false };

/**
 * One conversation in a window: what is in its file, and over it the answer that comes in. Shows at most 20 states a
 * second, the last one always. What it leaves goes on: the ask server owns the answers.
 */
export class Chat {
  private state = EMPTY;
  private shown = EMPTY;
  private readonly listeners = new Set<() => void>();
  private timer?: NodeJS.Timeout;
  private paintedAt = 0;
  private watching?: { leave: AbortController; stop: AbortController };

  constructor(private readonly options: ChatOptions) {}

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly snapshot = (): ChatState => this.shown;

  get isAnswering(): boolean {
    return this.state.live !== undefined;
  }

  /** Begins a new conversation; an answer that is on its way goes on unseen. */
  startNew(): void {
    this.leave();
    this.show(EMPTY);
  }

  /** Shows a conversation, and goes on watching an answer of it that is on its way. Resolves when it is shown. */
  async open(id: string): Promise<void> {
    const mine = this.watch();
    this.show({ turns: [], isReading: true });
    try {
      const conversation = await this.options.store.read(id);
      if (mine.leave.signal.aborted) return;
      const turns = turnsOf(conversation);
      const last = turns.at(-1);
      const { id: generation, text, own, ended } = last?.answer ?? {};
      if (!last || generation === undefined || ended) return this.show({ conversation, turns, isReading: false });
      const before = (text ?? "").slice(0, (text ?? "").length - (own ?? "").length);
      this.show({ conversation, turns, isReading: false, live: { turn: last.id, text: before, isStopping: false } });
      void this.follow(mine, id, (watch) =>
        attach({ surroundings: this.options.surroundings, conversation: id, generation, ...watch }),
      );
    } catch (error) {
      if (!mine.leave.signal.aborted) this.show({ ...EMPTY, failure: { turn: "", error: toTorbizError(error) } });
    }
  }

  /** Asks, and shows the answer as it comes. Never throws: what fails is shown. */
  async ask(request: Request, asking: Asking): Promise<void> {
    const mine = this.watch();
    const { conversation: known, leaf, turns } = this.state;
    const { turns: before, live } = begun(turns, request);
    this.show({ conversation: known, leaf, turns: before, live, focus: live.turn, isReading: false });
    try {
      const id = known?.id ?? (await this.options.store.create());
      if (mine.leave.signal.aborted) return;
      const { surroundings } = this.options;
      await this.follow(mine, id, (watch) =>
        ask({ surroundings, conversation: id, follows: leaf, ...request, ...asking, ...watch }),
      );
    } catch (error) {
      if (!mine.leave.signal.aborted) this.fail(live.turn, toTorbizError(error));
    }
    const { failure, turns: now } = this.state;
    if (mine.leave.signal.aborted) return;
    // Its server was given up as frozen, and woke.
    if (failure?.error.code === "answer-running" && known) return this.open(known.id);
    if (!failure) return;
    // A question that is written isn't written twice.
    const written = request.prompt !== undefined && now.find(({ id }) => id === live.turn)?.message;
    const again = written ? { regenerate: written.id } : request;
    this.show({ ...this.state, failure: { ...failure, again } });
    if (failure.error.code !== "consent-needed") return;
    if (!(await this.options.onConsent()) || mine.leave.signal.aborted) return;
    await this.ask(again, asking);
  }

  /** Shows another version of a turn, and what came after it: a follow-up goes on from there. */
  showVersion(turn: string, version: Version): void {
    const { conversation } = this.state;
    if (!conversation || this.isAnswering) return;
    const leaf = leafOf(conversation, version);
    this.show({ conversation, leaf, turns: turnsOf(conversation, leaf), focus: turn, isReading: false });
  }

  /** Ends the answer that is on its way; what came of it is kept. */
  stop(): void {
    const { live } = this.state;
    if (!live || !this.watching) return;
    this.show({ ...this.state, live: { ...live, isStopping: true } });
    this.watching.stop.abort();
  }

  /** Resolves when no answer is on its way. */
  async idle(): Promise<void> {
    await new Promise<void>((resolve) => {
      const look = () => {
        if (this.isAnswering) return;
        forget();
        resolve();
      };
      const forget = this.subscribe(look);
      look();
    });
  }

  /** Stops watching. */
  leave(): void {
    this.watching?.leave.abort();
    this.watching = undefined;
  }

  /** Reads the conversation again, as another view may have changed it. */
  async refresh(): Promise<void> {
    const { conversation, leaf } = this.state;
    if (!conversation || this.isAnswering) return;
    const read = await this.options.store.read(conversation.id);
    this.show({ ...this.state, conversation: read, turns: turnsOf(read, leaf) });
  }

  private watch(): { leave: AbortController; stop: AbortController } {
    this.leave();
    this.watching = { leave: new AbortController(), stop: new AbortController() };
    return this.watching;
  }

  private async follow(
    mine: { leave: AbortController; stop: AbortController },
    conversation: string,
    run: (watch: WatchOptions) => Promise<unknown>,
  ): Promise<void> {
    const { leave, stop } = mine;
    const isMine = () => !leave.signal.aborted;
    let error: TorbizError | undefined;
    const turn = this.state.live?.turn ?? "";
    try {
      await run({
        leave: leave.signal,
        stop: stop.signal,
        onProgress: ({ message, progress }) => {
          const part = progress === null ? "" : ` (${Math.floor(progress * 100)}%)`;
          if (isMine()) this.change({ stage: message + part });
        },
        onDelta: (text) => {
          if (isMine()) this.change({ text: (this.state.live?.text ?? "") + text, stage: undefined });
        },
      });
    } catch (failure) {
      error = toTorbizError(failure);
    }
    if (!isMine()) return;
    // Who stops it before it began knows why it ends.
    if (stop.signal.aborted && error?.code === "interrupted") error = undefined;
    const { conversation: known, focus } = this.state;
    try {
      const read = await this.options.store.read(conversation);
      if (!isMine()) return;
      // What was asked now is the newest, unless it failed before anything of it was written.
      const leaf = read.nodes.size === known?.nodes.size ? this.state.leaf : undefined;
      const failure = error && { failure: { turn, error } };
      this.show({ conversation: read, leaf, turns: turnsOf(read, leaf), focus, isReading: false, ...failure });
    } catch (gone) {
      if (isMine()) this.fail(turn, error ?? toTorbizError(gone));
    }
  }

  private fail(turn: string, error: TorbizError): void {
    this.show({ ...this.state, live: undefined, failure: { turn, error } });
  }

  private change(change: Partial<Live>): void {
    const { live } = this.state;
    if (live) this.show({ ...this.state, live: { ...live, ...change } });
  }

  private show(state: ChatState): void {
    this.state = state;
    this.timer ??= setTimeout(() => this.paint(), Math.max(0, this.paintedAt + PAINT_MS - Date.now()));
  }

  private paint(): void {
    this.timer = undefined;
    this.paintedAt = Date.now();
    this.shown = this.state;
    this.listeners.forEach((listener) => listener());
  }
}

/** The turns as they are while that is answered. */
function begun(turns: readonly Turn[], request: Request): { turns: Turn[]; live: Live } {
  const { edits, regenerate, continues } = {
    edits: undefined,
    regenerate: undefined,
    continues: undefined,
    ...request,
  };
  const wanted = edits ?? regenerate ?? continues;
  const found = turns.findIndex(
    ({ message, answer }) => wanted !== undefined && [message?.id, answer?.id].includes(wanted),
  );
  const index = found < 0 ? turns.length : found;
  const id = turnId(index);
  const old = turns[index];
  const turn: Turn =
    request.prompt !== undefined
      ? { id, question: request.prompt, at: new Date().toISOString(), versions: [] }
      : {
          ...(old ?? { id, question: "", at: "", versions: [] }),
          ...(continues === undefined && { answer: undefined }),
        };
  const text = continues === undefined ? "" : (old?.answer?.text ?? "");
  return { turns: [...turns.slice(0, index), turn], live: { turn: id, text, isStopping: false } };
}
