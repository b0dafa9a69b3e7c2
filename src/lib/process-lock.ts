import { linkSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { TorbizError } from "./errors";
import { isAlive } from "./is-alive";

/** Held by one command at a time, in whichever process or thread. */
export interface ProcessLock {
  /** Tells those who wait what is being done. */
  note(text: string): void;
  release(): void;
}

export interface LockOptions {
  /** Hears the holder's latest note while we wait. */
  onWait?: (note: string) => void;
  /** Stops waiting. */
  signal?: AbortSignal;
}

interface Holder {
  pid: number;
  token: string;
  note: string;
}

const POLL_MS = 300;
const HEARTBEAT_MS = 4_000;
/**
 * A holder that has not shown itself for so long is gone, even if its process lives: Raycast runs all commands as threads of
 * one process, and ends such a thread with its window. Four heartbeats, as a busy holder may miss some.
 */
const SILENT_MS = 4 * HEARTBEAT_MS;
/** After a computer's sleep all locks look old: a holder that woke up with us shows itself within this time. */
const PROOF_MS = HEARTBEAT_MS + 1_000;

/**
 * Takes a lock file, waiting for its holder to release it. A holder that was killed is noticed, and its lock taken over: at
 * once where its process is no more, else after about 20 s.
 *
 * @param path the lock file; its folder must exist
 * @throws TorbizError interrupted when `signal` aborts while waiting
 */
export async function acquireLock(path: string, { onWait, signal }: LockOptions = {}): Promise<ProcessLock> {
  const own: Holder = { pid: process.pid, token: crypto.randomUUID(), note: "" };
  while (!tryCreate(path, own)) {
    if (signal?.aborted) throw new TorbizError("interrupted", "Waiting for another Torbiz was stopped.");
    const holder = read(path);
    if (isGone(path, holder)) {
      if (!holder || !isAlive(holder.pid) || (await staysSilent(path, signal))) takeAway(path, holder);
    } else {
      if (holder) onWait?.(holder.note);
      await sleep(POLL_MS);
    }
  }
  const heartbeat = setInterval(() => write(path, own), HEARTBEAT_MS);
  heartbeat.unref();
  return {
    note(text) {
      own.note = text;
      write(path, own);
    },
    release() {
      clearInterval(heartbeat);
      rmSync(draftOf(path, own), { force: true }); // a full disk may have left one
      if (read(path)?.token === own.token) rmSync(path, { force: true });
    },
  };
}

/** Who holds a lock now: a word that only this holder has; undefined when nobody does, or its holder is long silent. */
export function lockHolder(path: string): string | undefined {
  const holder = read(path);
  return holder && !isGone(path, holder) ? holder.token : undefined;
}

/** Makes the file with its content in one step, so that nobody ever reads half of it. */
function tryCreate(path: string, holder: Holder): boolean {
  const draft = draftOf(path, holder);
  try {
    writeFileSync(draft, JSON.stringify(holder), { mode: 0o600 });
    linkSync(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

function draftOf(path: string, { token }: Holder): string {
  return `${path}.${token}`;
}

function read(path: string): Holder | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Holder;
  } catch {
    return undefined;
  }
}

/** Shows that the holder lives. A lock that was taken over meanwhile is left alone. */
function write(path: string, own: Holder): void {
  if (read(path)?.token !== own.token) return;
  const draft = draftOf(path, own);
  try {
    writeFileSync(draft, JSON.stringify(own), { mode: 0o600 });
    renameSync(draft, path);
  } catch {
    // The work itself will meet the same trouble (a full disk, a folder removed) and tell it.
  }
}

function isGone(path: string, holder: Holder | undefined): boolean {
  const touched = touchedAt(path);
  if (touched === undefined) return false; // released just now: the next try gets it
  return Date.now() - touched > SILENT_MS || (holder !== undefined && !isAlive(holder.pid));
}

/** Milliseconds since 1970; undefined when there is no lock. */
function touchedAt(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs;
}

/** Whether nobody touches the lock for longer than a living holder could leave it; false when `signal` ends the look. */
async function staysSilent(path: string, signal?: AbortSignal): Promise<boolean> {
  const before = touchedAt(path);
  const end = performance.now() + PROOF_MS;
  while (performance.now() < end) {
    await sleep(POLL_MS);
    if (signal?.aborted || touchedAt(path) !== before) return false;
  }
  return true;
}

/** Removes a gone holder's lock; one that somebody took in the same moment is put back. */
function takeAway(path: string, holder: Holder | undefined): void {
  const aside = `${path}.${crypto.randomUUID()}`;
  try {
    renameSync(path, aside);
    if (read(aside)?.token !== holder?.token) linkSync(aside, path);
  } catch {
    // Somebody else was faster: the next round sees what is there now.
  } finally {
    rmSync(aside, { force: true });
  }
}
