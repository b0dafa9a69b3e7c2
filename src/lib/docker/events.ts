import { createInterface } from "node:readline";
import { Readable } from "node:stream";

/** Something that happened to a container. */
export interface ContainerEvent {
  /** ISO 8601 with milliseconds, by the engine's clock. */
  time: string;
  /** "start", "die", "oom", "kill", "stop", "pause", "unpause", "health_status: healthy", ... */
  action: string;
  /** Of "die". */
  exitCode?: number;
  /** Of "kill": "SIGINT", or its number. */
  signal?: string;
}

/** The events worth a person's look: the health check alone makes three others every few seconds. */
export const EVENTS: readonly string[] = [
  ...["create", "start", "restart", "pause", "unpause", "update", "rename", "health_status"],
  ...["kill", "oom", "stop", "die", "destroy"],
];

/** The same number on every system, unlike others. */
const SIGNALS: Readonly<Record<string, string>> = {
  1: "SIGHUP",
  2: "SIGINT",
  3: "SIGQUIT",
  6: "SIGABRT",
  9: "SIGKILL",
  15: "SIGTERM",
};

/** The events in what the engine sends: one JSON object a line. Lines that are something else are overlooked. */
export async function* readEvents(stream: NodeJS.ReadableStream): AsyncGenerator<ContainerEvent> {
  const source = stream as Readable;
  const lines = createInterface({ input: source, crlfDelay: Infinity });
  // readline goes on in silence when its stream breaks.
  const broken = new Promise<never>((_resolve, reject) => source.once("error", reject));
  broken.catch(() => undefined);
  const iterator = lines[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done, value } = await Promise.race([iterator.next(), broken]);
      if (done) return;
      const event = toEvent(value);
      if (event) yield event;
    }
  } finally {
    lines.close();
  }
}

function toEvent(line: string): ContainerEvent | undefined {
  let value: { Action?: unknown; timeNano?: unknown; Actor?: { Attributes?: Record<string, unknown> } };
  try {
    value = JSON.parse(line) as typeof value;
  } catch {
    return undefined;
  }
  const { Action: action, timeNano, Actor } = value;
  if (typeof action !== "string" || typeof timeNano !== "number") return undefined;
  const { exitCode, signal } = Actor?.Attributes ?? {};
  return {
    time: new Date(Math.floor(timeNano / 1e6)).toISOString(),
    action,
    ...(action === "die" && { exitCode: Number(exitCode) }),
    ...(typeof signal === "string" && { signal: SIGNALS[signal] ?? signal }),
  };
}
