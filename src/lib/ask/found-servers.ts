import { homedir } from "node:os";
import { TorbizError } from "../errors";
import { isRecord, parseJson } from "../json";
import { asSentence, reasonOf, webGet, WebError, type WebGetOptions, type WebSurroundings } from "../web";
import type { EngineChoice } from "./engine-choice";

/** A server on this computer that speaks OpenAI's interface. */
export interface FoundServer {
  /** The program's name for people, by its usual port. */
  title: string;
  baseUrl: string;
  /** Ids, in the server's order. Never empty: a server without a model can't answer. */
  models: string[];
}

/** Where to look for a server. */
export interface ServerPlace {
  title: string;
  baseUrl: string;
}

/** The ports that the programs' own manuals name. */
const USUAL_PLACES: readonly ServerPlace[] = [
  { title: "Ollama", baseUrl: "http://127.0.0.1:11434/v1" },
  { title: "LM Studio", baseUrl: "http://127.0.0.1:1234/v1" },
  { title: "Docker Model Runner", baseUrl: "http://127.0.0.1:12434/engines/v1" },
  { title: "Jan", baseUrl: "http://127.0.0.1:1337/v1" },
  { title: "llama.cpp", baseUrl: "http://127.0.0.1:8080/v1" },
  { title: "vLLM", baseUrl: "http://127.0.0.1:8000/v1" },
  { title: "GPT4All", baseUrl: "http://127.0.0.1:4891/v1" },
];
/**
 * They are on this computer, where nobody listening is known at once and one that works answers in milliseconds. But a busy
 * computer takes longer to get to either: at 500 ms a server that ran was missed.
 */
const LOOK_MS = 2_000;
const ANSWER_MS = 10_000;
/** Any program may be at these ports, and send for ever. */
const BODY_LIMIT = 1 << 20;
/** Servers list these among the others, and they can't answer. */
const NO_CHAT = /embed|rerank|whisper|tts/i;

const HERE: WebSurroundings = { env: process.env, home: homedir(), platform: process.platform };

export interface FoundServersOptions {
  places?: readonly ServerPlace[];
  /** How long each may take to answer, milliseconds. */
  limitMs?: number;
}

/** The servers that run at their usual places on this computer, looked for at all of them at once. Sends no question. */
export async function foundServers({ places = USUAL_PLACES, limitMs = LOOK_MS }: FoundServersOptions = {}): Promise<
  FoundServer[]
> {
  const found = await Promise.all(
    places.map(async (place) => {
      const models = await modelsAt(place.baseUrl, { limitMs, isFound: true }).catch(() => []);
      return { ...place, models };
    }),
  );
  return found.filter(({ models }) => models.length > 0);
}

/**
 * A server's base URL as people give it, without what is too much: spaces, a slash at the end, the path of its chat.
 * @throws TorbizError engine-invalid
 *
 * @example
 * parseBaseUrl("http://127.0.0.1:11434/v1/"); // "http://127.0.0.1:11434/v1"
 */
export function parseBaseUrl(text: string): string {
  const url = URL.canParse(text.trim()) ? new URL(text.trim()) : undefined;
  if (!url || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new TorbizError("engine-invalid", "That is no address of a server.");
  }
  if (url.username || url.password) {
    throw new TorbizError("engine-invalid", "A server's address can't hold a name or a password.", {
      hint: "Give the server's key as its API key.",
    });
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, "").replace(/\/chat\/completions$/, "")}`;
}

/** A key, and the address that a person named it for. */
export interface ServerKey {
  key?: string;
  address?: string;
}

/**
 * The key that a question to this engine goes out with. A key is for the origin (scheme, host and port) that it was named
 * for: no server that was found, or that a conversation remembers, may be sent it otherwise.
 */
export function keyFor(choice: EngineChoice, { key, address }: ServerKey): string | undefined {
  if (choice.kind !== "server" || !key) return undefined;
  const origin = originOf(address);
  return origin !== undefined && origin === originOf(choice.baseUrl) ? key : undefined;
}

function originOf(address = ""): string | undefined {
  return URL.canParse(address.trim()) ? new URL(address.trim()).origin : undefined;
}

export interface ModelsAtOptions {
  apiKey?: string;
  limitMs?: number;
  signal?: AbortSignal;
  /** Those of this process unless given. */
  surroundings?: WebSurroundings;
  /**
   * Nobody named this server: any program may be at a usual port, so only a list that is OpenAI's in every point shows
   * that it is one. Of a server that a person names anything is taken that tells models, as many leave something out.
   */
  isFound?: boolean;
}

/**
 * The ids of the models that a server offers for chats; none where it has none. A redirect is not followed: the key is for
 * this address only.
 *
 * @throws TorbizError server-unreachable, server-key-wrong, server-refused, interrupted
 */
export async function modelsAt(
  baseUrl: string,
  { apiKey, limitMs = ANSWER_MS, signal, surroundings = HERE, isFound = false }: ModelsAtOptions = {},
): Promise<string[]> {
  const limit = AbortSignal.timeout(limitMs);
  let status: number;
  let body: unknown;
  try {
    const either = signal ? AbortSignal.any([signal, limit]) : limit;
    const answer = await get(`${baseUrl}/models`, apiKey, { surroundings, signal: either });
    status = answer.status;
    body = parseJson(answer.text);
  } catch (error) {
    if (signal?.aborted) throw new TorbizError("interrupted", "Looking for the server's models was stopped.");
    if ((error as NodeJS.ErrnoException).code === "ERR_INVALID_CHAR") {
      throw new TorbizError("server-key-wrong", "The API key has characters that no key has.");
    }
    const reason = limit.aborted ? "it doesn't answer" : reasonOf(error);
    throw new TorbizError("server-unreachable", asSentence(`${baseUrl} can't be reached: ${reason}`), { cause: error });
  }
  if (status === 401 || status === 403) {
    throw new TorbizError("server-key-wrong", `${baseUrl} wants ${apiKey ? "another" : "an"} API key.`);
  }
  if (status >= 300 && status < 400) {
    throw new TorbizError("server-refused", `${baseUrl} sends to another address.`, {
      hint: "Name that address, if you trust it.",
    });
  }
  const models = status === 200 ? listIn(body, isFound) : undefined;
  if (!models) {
    throw new TorbizError("server-refused", `What answers at ${baseUrl} doesn't speak OpenAI's interface.`);
  }
  return idsIn(models).filter((id) => !NO_CHAT.test(id));
}

/** The models that an answer lists; undefined where it is no list of models. */
function listIn(body: unknown, isFound: boolean): readonly unknown[] | undefined {
  const isList = isRecord(body) && body.object === "list";
  if (isFound && !isList) return undefined;
  const data: unknown = isRecord(body) && !Array.isArray(body) ? body.data : body;
  // A server without a model may say so by null.
  if (isList && (data === null || data === undefined)) return [];
  if (!Array.isArray(data)) return undefined;
  return isList || data.length === 0 || idsIn(data).length > 0 ? data : undefined;
}

function idsIn(models: readonly unknown[]): string[] {
  const ids = models.map((model) => (isRecord(model) ? model.id : undefined));
  return ids.filter((id): id is string => typeof id === "string" && id !== "");
}

async function get(url: string, apiKey: string | undefined, options: WebGetOptions): Promise<Answer> {
  const headers = { accept: "application/json", ...(apiKey && { authorization: `Bearer ${apiKey}` }) };
  const response = await webGet(new URL(url), { ...options, headers });
  let text = "";
  response.setEncoding("utf8");
  for await (const piece of response) {
    text += piece;
    if (text.length > BODY_LIMIT) throw new WebError("its answer doesn't end");
  }
  return { status: response.statusCode ?? 0, text };
}

interface Answer {
  status: number;
  text: string;
}
