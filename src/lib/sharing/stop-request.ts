import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Surroundings } from "../context";
import { TorbizError } from "../errors";

/**
 * How commands tell others of their wish that a share should end: by a file with its time and a word of its own. It stays.
 * A start that is on its way gives up as soon as the file is another one than when it began, whatever a clock says. And who
 * starts later knows by the time in it that what still runs is about to end.
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

/**
 * How a share is to end, by a wish that came after it began, however far that has come. One of a time that is still to come
 * was written by a clock that has been set back: it means nothing. @param began milliseconds since 1970
 */
export function wishedEnd(where: Where, began: number): Wish | undefined {
  return (["stop", "finish"] as const).find((wish) => {
    const [at] = wished(where, wish).split(" ");
    return Number(at) > began && Number(at) <= Date.now();
  });
}

function request(where: Where, wish: Wish): void {
  const path = file(where, wish);
  const word = crypto.randomUUID();
  const draft = `${path}.${word}`;
  writeFileSync(draft, `${Date.now()} ${word}`, { mode: 0o600 });
  renameSync(draft, path);
}

/** Watches for requests that are made after it began. */
export class StopRequests {
  /** Milliseconds since 1970. */
  readonly began = Date.now();
  private readonly before: string;
  private readonly controller = new AbortController();
  private readonly timer: NodeJS.Timeout;

  constructor(private readonly where: Where) {
    this.before = wished(where, "stop");
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
    if (!this.signal.aborted && wished(this.where, "stop") !== this.before) {
      this.controller.abort(new TorbizError("interrupted", "Sharing was stopped before it began."));
    }
  }
}

/** What the file says; "" where there is none. */
function wished(where: Where, wish: Wish): string {
  try {
    return readFileSync(file(where, wish), "utf8");
  } catch {
    return "";
  }
}
