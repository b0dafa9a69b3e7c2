import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Surroundings } from "../context";
import { TorbizError } from "../errors";

/**
 * How one command tells another to give up what it has not finished starting: a file with the time of the wish. It stays;
 * who began later doesn't mean it.
 */

type Where = Pick<Surroundings, "paths" | "names">;

const LOOK_MS = 200;

function file({ paths, names }: Where): string {
  return join(paths.run, `${names.container}.stop`);
}

/** The lock that a share holds from its first look at what runs until its container has started. */
export function shareLock({ paths, names }: Where): string {
  return join(paths.run, `${names.container}.lock`);
}

/** Asks every share that is on its way now to give up. */
export function requestStop(where: Where): void {
  const draft = `${file(where)}.${crypto.randomUUID()}`;
  writeFileSync(draft, String(Date.now()), { mode: 0o600 });
  renameSync(draft, file(where));
}

/** Watches for requests that are made after it began. */
export class StopRequests {
  private readonly began = Date.now();
  private readonly controller = new AbortController();
  private readonly timer: NodeJS.Timeout;

  constructor(private readonly where: Where) {
    this.timer = setInterval(() => this.look(), LOOK_MS);
    this.timer.unref();
  }

  /** Aborted by a request. */
  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Looks at once. @throws TorbizError interrupted when there was a request */
  check(): void {
    this.look();
    this.signal.throwIfAborted();
  }

  end(): void {
    clearInterval(this.timer);
  }

  /** Looks at once, without a word: `signal` tells. */
  look(): void {
    if (!this.signal.aborted && requestedAt(this.where) > this.began) {
      this.controller.abort(new TorbizError("interrupted", "Sharing was stopped before it began."));
    }
  }
}

function requestedAt(where: Where): number {
  try {
    return Number(readFileSync(file(where), "utf8")) || 0;
  } catch {
    return 0;
  }
}
