import { TorbizError } from "../errors";
import type { Model } from "../models";
import { PETALS_VERSION } from "../version";
import { isLoopback, peerEndpoint } from "./peer-address";
import type { SharingStatus } from "./status";
import type { Swarm } from "./swarm";

/** All that somebody needs to join a swarm. Nothing in it is secret, but who has it can join. */
export interface Invite {
  /** The model's id, or its repository on the model hub. */
  model: string;
  /** The commit or branch of a repository. */
  revision?: string;
  /** The key under which its blocks are announced. */
  dhtPrefix: string;
  /** Multiaddrs of peers to join by. */
  peers: string[];
  /** The version of Petals that they run. */
  petals: string;
}

const SCHEME = "torbiz-invite:";
const VERSION = 1;
/** In characters; a longer text isn't looked at. Sixteen long addresses take 5,000. */
const MAX_LENGTH = 8_192;
const MAX_PEERS = 16;

const ID = /^[a-z0-9][a-z0-9.-]{0,95}$/;
const REPOSITORY = /^[\w.-]{1,96}\/[\w.-]{1,96}$/;
const REVISION = /^[\w][\w./-]{0,127}$/;
const PREFIX = /^[\w-]{1,160}$/; // a dot would end it: Petals' UID_DELIMITER
const PETALS = /^\d[\w.+-]{0,39}$/;

/**
 * The invite to the swarm of a running share, as one line of text.
 *
 * @param swarm the one that it is in
 * @throws TorbizError not-sharing while it isn't online, invite-unavailable when nobody else could join by it
 *
 * @example
 * createInvite(status, model, { kind: "private" }); // "torbiz-invite:eyJ2IjoxLC…"
 */
export function createInvite(status: SharingStatus, { id, dhtPrefix, source }: Model, swarm: Swarm): string {
  if (status.state !== "online") throw new TorbizError("not-sharing", "Nothing is online to invite others to.");
  const named = source.kind === "hub" ? { model: source.repository, revision: source.revision } : { model: id };
  return writeInvite({ ...named, dhtPrefix, peers: peersOf(status, swarm), petals: PETALS_VERSION });
}

/** An invite as one line of text, which `readInvite` reads back. */
export function writeInvite({ model, revision, dhtPrefix, peers, petals }: Invite): string {
  const named = REPOSITORY.test(model) ? { repository: model, revision } : { model };
  const content = { v: VERSION, ...named, prefix: dhtPrefix, peers, petals };
  return SCHEME + Buffer.from(JSON.stringify(content)).toString("base64url");
}

/** Addresses that others can join by: this server's own where they come directly, then those by which it joined itself. */
function peersOf({ addresses, reachability }: SharingStatus, swarm: Swarm): string[] {
  if (swarm.kind === "public") {
    throw new TorbizError("invite-unavailable", "Petals' public network takes everybody: it needs no invite.", {
      hint: "Others choose the public network.",
      cliHint: "They share with `torbiz share --swarm public`.",
    });
  }
  const isDirect = swarm.kind === "private" || reachability === "direct";
  const own = addresses.filter((address) => {
    const endpoint = peerEndpoint(address);
    return endpoint && !isLoopback(endpoint);
  });
  const peers = new Set([...(isDirect ? own : []), ...(swarm.kind === "join" ? swarm.peers : [])]);
  if (peers.size > 0) return [...peers].slice(0, MAX_PEERS);
  throw new TorbizError("invite-unavailable", "This swarm is open to this computer only, so nobody else can join it.");
}

/** Whether a text is meant as an invite, whole or not. */
export function isInvite(text: string): boolean {
  return bare(text.slice(0, MAX_LENGTH)).startsWith(SCHEME);
}

/**
 * Reads an invite as people paste it: in quotes, with white space around it, broken into lines by a mail program. What is
 * in it is a stranger's word, so nothing is taken for granted.
 *
 * @throws TorbizError invite-invalid, and nothing else, whatever the text
 */
export function readInvite(text: string): Invite {
  if (text.length > MAX_LENGTH) throw invalid("it is longer than any invite.");
  const line = bare(text);
  if (!line.startsWith(SCHEME)) throw invalid(`an invite begins with "${SCHEME}".`);
  const fields = decode(line.slice(SCHEME.length));
  if (typeof fields.v === "number" && fields.v > VERSION) {
    throw new TorbizError("invite-invalid", "This invite is of a newer Torbiz.", { hint: "Update Torbiz." });
  }
  if (fields.v !== VERSION) throw invalid("its version is missing.");
  const { model, repository, revision, prefix, peers, petals } = fields;
  if (!matches(prefix, PREFIX) || !matches(petals, PETALS)) throw invalid("it is incomplete.");
  if (!Array.isArray(peers) || peers.length === 0 || peers.length > MAX_PEERS || !peers.every(isPeer)) {
    throw invalid("it names no peers that can be used.");
  }
  const common = { dhtPrefix: prefix, peers: [...new Set(peers)], petals };
  if (matches(repository, REPOSITORY) && revision === undefined) return { model: repository, ...common };
  if (matches(repository, REPOSITORY) && matches(revision, REVISION)) return { model: repository, revision, ...common };
  if (matches(model, ID)) return { model, ...common };
  throw invalid("it names no model.");
}

/** Without what surrounds and breaks it: white space and quotes are in no invite. */
function bare(text: string): string {
  return text.replace(/[\s"'`<>\u200b\u201c\u201d\ufeff]+/g, "");
}

function decode(text: string): Readonly<Record<string, unknown>> {
  if (!/^[\w-]+$/.test(text)) throw invalid("it is cut off, or has characters that no invite has.");
  try {
    const value: unknown = JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
    if (typeof value === "object" && value !== null) return value as Readonly<Record<string, unknown>>;
  } catch {
    // Cut off in the middle.
  }
  throw invalid("it is cut off or damaged.");
}

function matches(value: unknown, pattern: RegExp): value is string {
  return typeof value === "string" && pattern.test(value);
}

function isPeer(value: unknown): value is string {
  return typeof value === "string" && peerEndpoint(value) !== undefined;
}

function invalid(why: string): TorbizError {
  return new TorbizError("invite-invalid", `This invite can't be read: ${why}`);
}
