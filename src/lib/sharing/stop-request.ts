import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Surroundings } from "../context";
import { TorbizError } from "../errors";

/**
 * How commands tell others of their wish that a share should end: by a file with its time. It stays; who began later doesn't
 * mean it. A start that is on its way gives up by it. And who starts later knows by it that what still runs is about to end.
 */

type Where = Pick<Surroundings, "paths" | "names">;

const LOOK_MS = 200;

type Wish = "stop" | "finish";

function file({ paths, names }: Where, wish: Wish): string {
  return join(paths.run, `${names.container}.${wish}`);
}

/** The lock that a share holds from its first look at what runs until its container has started. */
export function shareLock({ paths, names }: Where): string {
  return join(paths.run, `${names.container}.lock`);
}

/** Asks every share that is on its way now to give up, and tells that one which runs now will be stopped. */
export function requestStop(where: Where): void {
  request(where, "stop");
}

/** Tells that a share which runs now will finish. */
export function requestFinish(where: Where): void {
  request(where, "finish");
}

/** How a share is to end, by a wish that came after it began, however far that has come. @param began milliseconds since 1970 */
export function wishedEnd(where: Where, began: number): Wish | undefined {
  return (["stop", "finish"] as const).find((wish) => requestedAt(where, wish) > began);
}

function request(where: Where, wish: Wish): void {
  const path = file(where, wish);
  const draft = `${path}.${crypto.randomUUID()}`;
  writeFileSync(draft, String(Date.now()), { mode: 0o600 });
  renameSync(draft, path);
}

/** Watches for requests that are made after it began. */
export class StopRequests {
  /** Milliseconds since 1970. */
  readonly began = Date.now();
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
    if (!this.signal.aborted && requestedAt(this.where, "stop") > this.began) {
      this.controller.abort(new TorbizError("interrupted", "Sharing was stopped before it began."));
    }
  }
}

function requestedAt(where: Where, wish: Wish): number {
  try {
    return Number(readFileSync(file(where, wish), "utf8")) || 0;
  } catch {
    return 0;
  }
}
