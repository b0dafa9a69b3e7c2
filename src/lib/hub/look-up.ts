import type { IncomingMessage } from "node:http";
import { interrupted } from "../docker/docker-error";
import { TorbizError } from "../errors";
import { isRecord, parseJson } from "../json";
import { readConfig, weightBytes } from "../model-config";
import { asSentence, webGet, WebError, type WebSurroundings } from "../web";
import { hubEndpoint, pageOf } from "./endpoint";
import { isRepository, type HubFacts } from "./known-models";

/** A model to look up, and whom to ask. */
export interface LookUpOptions {
  /** "owner/name" */
  repository: string;
  /** A branch, a tag or a commit. */
  revision?: string;
  /** HF_ENDPOINT, and how an address is reached. */
  surroundings: WebSurroundings;
  /** A Hugging Face token. It goes to the hub in a header, and nowhere else. */
  token?: string;
  signal?: AbortSignal;
  /** How long the hub may take for each of its two answers, milliseconds. */
  limitMs?: number;
}

const ANSWER_MS = 20_000;
/** Of an answer: the largest lists of files have some thousands of names. */
const BODY_LIMIT = 8 << 20;
const MAX_REDIRECTS = 5;

/**
 * Asks the hub for a model's commit, config, licence and size, and checks that Petals can serve it. Downloads no weights.
 *
 * @throws TorbizError model-unknown, model-gated, model-unsupported, hub-unreachable, interrupted
 *
 * @example
 * const { config, revision } = await lookUp({ repository: "TinyLlama/TinyLlama-1.1B-Chat-v1.0", surroundings });
 */
export async function lookUp(options: LookUpOptions): Promise<HubFacts> {
  const { repository, revision = "main", surroundings } = options;
  if (!isRepository(repository)) {
    throw new TorbizError("model-unknown", `${repository} is no name of a model on a hub: it is owner/name.`);
  }
  const endpoint = hubEndpoint(surroundings.env);
  const path = `/api/models/${repository}/revision/${encodeURIComponent(revision)}?blobs=true`;
  const listing = readListing(await ask(`${endpoint}${path}`, options), options);
  const config = readConfig(
    await ask(`${endpoint}/${repository}/resolve/${listing.commit}/config.json`, options),
    repository,
  );
  const weights = listing.files.filter(({ name }) => isWeights(name));
  if (weights.length === 0) {
    const others = listing.files.some(({ name }) => /\.(bin|pt|pth|pkl)$/.test(name));
    throw new TorbizError(
      "model-unsupported",
      others
        ? `${repository} can't be shared: its weights are pickle files only, and those can run programs.`
        : `${repository} can't be shared: it has no weights as safetensors files.`,
    );
  }
  const size = weights.reduce((sum, file) => sum + (file.size ?? Number.NaN), 0);
  return {
    repository: listing.repository,
    revision: listing.commit,
    config,
    license: listing.license,
    gated: listing.gated,
    diskBytes: Number.isNaN(size) ? weightBytes(config) : size,
  };
}

/** What Petals looks for: one file, or the parts that an index names. Meta's own form of the same is named otherwise. */
function isWeights(name: string): boolean {
  return /^[^/]+\.safetensors$/.test(name) && !name.startsWith("consolidated");
}

interface Listing {
  repository: string;
  commit: string;
  license: string;
  gated: boolean;
  /** Sizes in bytes, where the hub tells them. */
  files: { name: string; size?: number }[];
}

function readListing(body: unknown, options: LookUpOptions): Listing {
  const { id, sha, gated, siblings, cardData, tags } = isRecord(body) ? body : {};
  if (typeof sha !== "string" || !/^[0-9a-f]{40}$/.test(sha) || !Array.isArray(siblings)) throw notAHub(options);
  return {
    // As its owner writes it, whatever capitals were typed.
    repository: typeof id === "string" && isRepository(id) ? id : options.repository,
    commit: sha,
    license: licenseOf(isRecord(cardData) ? cardData : {}, Array.isArray(tags) ? tags : []),
    gated: gated !== undefined && gated !== null && gated !== false,
    files: siblings.flatMap((file: unknown) => {
      const { rfilename: name, size } = isRecord(file) ? file : {};
      if (typeof name !== "string") return [];
      return [{ name, ...(typeof size === "number" && { size }) }];
    }),
  };
}

/** A licence that has no name of its own among the hub's is "other", and is named beside it. */
function licenseOf({ license, license_name: name }: Record<string, unknown>, tags: readonly unknown[]): string {
  const tag = tags.find((each): each is string => typeof each === "string" && each.startsWith("license:"));
  const [wanted] = [license, tag?.slice("license:".length)].filter((each) => typeof each === "string" && each !== "");
  if (wanted === "other" && typeof name === "string" && name !== "") return name;
  return typeof wanted === "string" ? wanted : "unknown";
}

/** An answer of the hub, as JSON. */
async function ask(url: string, options: LookUpOptions): Promise<unknown> {
  const { signal, limitMs = ANSWER_MS } = options;
  const limit = AbortSignal.timeout(limitMs);
  const either = signal ? AbortSignal.any([signal, limit]) : limit;
  let answer: Answer;
  try {
    answer = await follow(new URL(url), options, either);
  } catch (error) {
    if (signal?.aborted) throw interrupted(signal);
    const why = limit.aborted ? `has not answered within ${limitMs / 1_000} s` : reasonOf(error, options);
    throw unreachable(why, options, error);
  }
  const { status, reason, text } = answer;
  if (status !== 200) throw refusal(status, reason, options);
  const body = parseJson(text);
  if (body === undefined) throw notAHub(options);
  return body;
}

/** A reason names who it is that fails: the hub, one that it sends on to, or a proxy. The hub isn't named twice. */
function reasonOf(error: unknown, { surroundings }: LookUpOptions): string {
  if (!(error instanceof WebError)) return "can't be reached";
  const own = `${new URL(hubEndpoint(surroundings.env)).hostname} `;
  return error.message.startsWith(own) ? error.message.slice(own.length) : `can't be reached: ${error.message}`;
}

interface Answer {
  status: number;
  /** The hub's own code for a refusal. */
  reason: string;
  text: string;
}

/** Follows a hub to where it keeps a file; the token goes to the hub's own address only. */
async function follow(start: URL, options: LookUpOptions, signal: AbortSignal): Promise<Answer> {
  let url = start;
  for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
    const token = url.origin === start.origin ? options.token : undefined;
    const headers = { accept: "application/json", ...(token && { authorization: `Bearer ${token}` }) };
    const response = await webGet(url, { surroundings: options.surroundings, headers, signal });
    const { statusCode: status = 0 } = response;
    const { location, "x-error-code": reason = "" } = response.headers;
    if (status < 300 || status >= 400 || !location) {
      return { status, reason: String(reason), text: await textOf(response) };
    }
    response.destroy();
    url = new URL(location, url);
  }
  throw new WebError("it sends from one address to another without end");
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = "";
  for await (const piece of response.setEncoding("utf8")) {
    text += String(piece);
    if (text.length > BODY_LIMIT) throw new WebError("its answer doesn't end");
  }
  return text;
}

/** Why the hub gives no answer: the same cases as `Hub` in python/torbiz/hub.py. */
function refusal(status: number, reason: string, options: LookUpOptions): TorbizError {
  const { repository, revision = "main", surroundings, token } = options;
  const host = hostOf(options);
  const page = pageOf(repository, surroundings.env);
  if (reason === "RevisionNotFound") {
    return new TorbizError("model-unknown", `${repository} has no revision ${revision} on ${host}.`);
  }
  if (reason === "EntryNotFound") {
    return new TorbizError("model-unsupported", `${repository} can't be shared: it has no config.json.`);
  }
  if (status === 403 || reason === "GatedRepo") {
    const access = token ? "the token's owner is not one of them" : "no token was given";
    return new TorbizError("model-gated", `${host} gives ${repository} only to people it has allowed, and ${access}.`, {
      hint: `Ask for access at ${page}, and give Torbiz a Hugging Face token of that account.`,
      action: { title: "Ask for Access", url: page },
    });
  }
  if (status === 401 && token) {
    return new TorbizError("model-gated", `${host} doesn't accept the Hugging Face token.`, {
      hint: "Make a new one at https://huggingface.co/settings/tokens, and give it to Torbiz.",
    });
  }
  // The hub doesn't tell strangers which private models there are.
  if (status === 401 || status === 404) {
    const otherwise = status === 401 ? ", or it is private" : "";
    return new TorbizError("model-unknown", `${host} has no model ${repository}${otherwise}.`, {
      hint: "Check its name: it is owner/name as on its page.",
    });
  }
  return unreachable(status === 429 ? "refuses for now: too many requests came" : `answers with ${status}`, options);
}

function notAHub(options: LookUpOptions): TorbizError {
  return unreachable("doesn't answer as a model hub does", options);
}

function unreachable(what: string, options: LookUpOptions, cause?: unknown): TorbizError {
  return new TorbizError("hub-unreachable", asSentence(`${hostOf(options)} ${what}`), { cause });
}

function hostOf({ surroundings }: LookUpOptions): string {
  return new URL(hubEndpoint(surroundings.env)).host;
}
