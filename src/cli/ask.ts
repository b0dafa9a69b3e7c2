import { ask, attach, runningGenerations, type Answer, type AskOptions } from "../lib/ask/ask";
import { rememberAskSettings } from "../lib/ask/ask-settings";
import { cancelChoiceDownload } from "../lib/ask/choice-download";
import type { Conversation } from "../lib/ask/conversations/conversation";
import { describeAnswer } from "../lib/ask/conversations/export-conversation";
import { ConversationStore } from "../lib/ask/conversations/store";
import type { EngineChoice } from "../lib/ask/engine-choice";
import { keyFor } from "../lib/ask/found-servers";
import { toTorbizError, TorbizError } from "../lib/errors";
import { confirm } from "./confirm";
import { chooseEngine, type EngineFlags } from "./engine-flags";
import { offerPython } from "./offer-python";
import { readQuestion, type QuestionSource } from "./question";
import type { Session } from "./session";

export interface AskFlags extends EngineFlags {
  system?: string;
  maxTokens?: number;
  temperature?: number;
  seed?: number;
  /** Go on with the newest conversation. */
  continue?: boolean;
  /** Go on with this one. */
  conversation?: string;
  allowStrangers?: boolean;
}

/** `torbiz ask`: the answer on stdout as it comes; what it took, and where it was computed, on stderr. */
export async function runAsk(
  session: Session,
  given: string | undefined,
  flags: AskFlags,
  stdin?: QuestionSource["stdin"],
): Promise<void> {
  const { output, surroundings, signal } = session;
  const prompt = await readQuestion(given, { stdin, signal, onWait: output.note });
  const store = new ConversationStore(surroundings.paths.conversations);
  const before = await findConversation(store, flags);
  if (!before && prompt === undefined) throw new TorbizError("prompt-empty", "There is nothing to ask.");
  const running = before && (await runningAnswer(session, before));
  if (running && prompt !== undefined) {
    throw new TorbizError("usage", "The last answer of this conversation is still being written.", {
      hint: "Wait for its end, then ask.",
      cliHint: "See it with `torbiz ask --continue`; Ctrl-C stops it.",
    });
  }
  const watch = { surroundings, onProgress: output.progress, onDelta: output.delta, stop: signal };
  if (before && running) {
    tell(session, await attach({ ...watch, conversation: before.id, generation: running }));
    return;
  }
  const work = prompt !== undefined ? { prompt } : before ? onward(await store.read(before.id)) : {};
  const choice = await chooseEngine(session, flags, before?.lastEngine);
  const { maxTokens, temperature, seed, system, allowStrangers } = flags;
  const answer = await askWithRemedies(session, store, {
    ...watch,
    ...work,
    conversation: before?.id ?? (await store.create()),
    choice,
    apiKey: keyFor(choice, { key: surroundings.env.TORBIZ_API_KEY, address: flags.engine }),
    system,
    sampling: { maxTokens, temperature, seed },
    allowStrangers,
  });
  tell(session, answer);
}

async function findConversation(store: ConversationStore, flags: AskFlags): Promise<Conversation | undefined> {
  if (flags.conversation !== undefined) return store.read(flags.conversation);
  if (!flags.continue) return undefined;
  const [newest] = await store.list({ limit: 1 });
  if (newest) return store.read(newest.id);
  throw new TorbizError("conversation-unknown", "There is no conversation to go on with.", {
    hint: "Ask a question first.",
    cliHint: "`torbiz ask QUESTION` begins one.",
  });
}

/** Id of the conversation's last answer, if it is being written now. */
async function runningAnswer({ surroundings }: Session, conversation: Conversation): Promise<string | undefined> {
  const last = conversation.branch().at(-1);
  if (last?.kind === "answer" && last.ended) return undefined;
  const running = await runningGenerations(surroundings);
  return running.find((generation) => generation.conversation === conversation.id)?.id;
}

/** How a conversation goes on without a new question. */
function onward(conversation: Conversation): Pick<AskOptions, "regenerate" | "continues"> {
  const last = conversation.branch().at(-1);
  if (last?.kind === "message" || last?.text === "") return { regenerate: last.id };
  if (last && last.ended?.reason !== "stop") return { continues: last.id };
  throw new TorbizError("prompt-empty", "The last answer is complete: there is nothing to go on with.", {
    hint: "Ask a question.",
    cliHint: "`torbiz ask --continue QUESTION` asks one more in this conversation.",
  });
}

/** Asks; what a person can allow by a yes is asked for, and the question then goes on its way. */
async function askWithRemedies(session: Session, store: ConversationStore, options: AskOptions): Promise<Answer> {
  try {
    return await ask(options);
  } catch (error) {
    const { code } = toTorbizError(error);
    // A download goes on by itself when a window closes; Ctrl-C means that it should not.
    if (code === "interrupted") await cancelChoiceDownload(session.surroundings, options.choice);
    if (!(await remedy(session, error, options.choice))) throw error;
    if (options.prompt === undefined) return askWithRemedies(session, store, options);
    const question = (await store.read(options.conversation)).branch().at(-1)?.id;
    return askWithRemedies(session, store, { ...options, prompt: undefined, regenerate: question });
  }
}

async function remedy(session: Session, error: unknown, choice: EngineChoice): Promise<boolean> {
  const { interactive, signal, surroundings, output } = session;
  if (!interactive) return false;
  const failure = toTorbizError(error);
  if (failure.code !== "consent-needed") {
    return offerPython(session, failure, choice.kind === "swarm" ? "swarm" : "local");
  }
  output.note(failure.message);
  if (!(await confirm("Ask there all the same, now and from now on?", signal, "no"))) return false;
  rememberAskSettings(surroundings.paths, { allowedStrangersAt: new Date().toISOString() });
  return true;
}

function tell({ output }: Session, answer: Answer): void {
  const { text, reason, usage, firstTokenSeconds, tokensPerSecond, route, engine, conversation, generation } = answer;
  output.done("answered", describeAnswer({ engine, ended: answer }));
  if (reason === "stopped") output.note("Stopped. What came is kept: go on with `torbiz ask --continue`.");
  if (reason === "length") output.note("The answer is cut off at its longest: go on with `torbiz ask --continue`.");
  output.result(
    {
      answer: text,
      finishReason: reason,
      tokens: usage.completionTokens,
      promptTokens: usage.promptTokens,
      cachedTokens: usage.cachedTokens,
      firstTokenSeconds,
      tokensPerSecond,
      model: engine.model,
      engine,
      route,
      conversation,
      generation,
    },
    "",
  );
}
