import { addAbortSignal, type Readable } from "node:stream";
import { TorbizError } from "../lib/errors";

/** More than any model holds, and a sign that a wrong file was piped in. */
const MOST_BYTES = 1024 * 1024;
/** A pipe that nobody closes looks like a hang. */
const PATIENCE_MS = 3_000;

export interface QuestionSource {
  stdin?: Readable & { isTTY?: boolean };
  signal: AbortSignal;
  /** Hears that we wait for others to finish writing. */
  onWait: (message: string) => void;
}

/**
 * The question that is meant: the one given, with what is piped in as its context; or what is piped in, where none is given
 * or it is `-`.
 *
 * @returns undefined when nothing is given and nothing is piped in
 * @throws TorbizError prompt-empty, prompt-too-long, usage when stdin holds no text, interrupted
 */
export async function readQuestion(given: string | undefined, source: QuestionSource): Promise<string | undefined> {
  const { stdin = process.stdin } = source;
  if (given?.trim() === "") throw new TorbizError("prompt-empty", "There is nothing to ask.");
  const piped = given === "-" || !stdin.isTTY ? await readText(stdin, source) : "";
  if (given === undefined) return piped || undefined;
  if (given !== "-") return piped ? `${given.trim()}\n\n${piped}` : given.trim();
  if (piped === "") throw new TorbizError("prompt-empty", "There is nothing to ask: stdin is empty.");
  return piped;
}

async function readText(stdin: Readable, { signal, onWait }: QuestionSource): Promise<string> {
  const waiting = setTimeout(() => onWait("Waiting for the end of what is piped in."), PATIENCE_MS);
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of addAbortSignal(signal, stdin)) {
      clearTimeout(waiting);
      chunks.push(Buffer.from(chunk as Buffer | string));
      bytes += chunks.at(-1)?.length ?? 0;
      if (bytes > MOST_BYTES) {
        throw new TorbizError("prompt-too-long", "What is piped in is longer than 1 MB.", {
          hint: "Pipe in the part that the question is about.",
        });
      }
    }
  } finally {
    clearTimeout(waiting);
  }
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
    // The first line may be indented.
    return text.replace(/^(?:[^\S\n]*\n)+/, "").trimEnd();
  } catch (error) {
    throw new TorbizError("usage", "What is piped in is no text.", {
      hint: "Pipe in text in UTF-8.",
      cause: error,
    });
  }
}
