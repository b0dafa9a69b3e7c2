import { StringDecoder } from "node:string_decoder";

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
export async function* readEvents(stream: AsyncIterable<Buffer> | Iterable<Buffer>): AsyncGenerator<ContainerEvent> {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.write(chunk)).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const event = toEvent(line);
      if (event) yield event;
    }
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
