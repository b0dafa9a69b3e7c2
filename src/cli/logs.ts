import { openEngine } from "../lib/context";
import { TorbizError } from "../lib/errors";
import { lastKeptLog } from "../lib/sharing/kept-logs";
import { readStatus } from "../lib/sharing/status";
import { foreignContainer } from "../lib/sharing/stop";
import type { Session } from "./session";

export interface LogFlags {
  follow: boolean;
  lines: number;
}

/** `torbiz logs`: of the share that runs, else of the one that ended last. */
export async function runLogs({ output, surroundings, signal }: Session, { follow, lines }: LogFlags): Promise<void> {
  const { engine, names } = await openEngine(surroundings);
  const container = await engine.inspect(names.container);
  const { state } = readStatus(container);
  if (container && state === "foreign") throw foreignContainer(names.container, container.Config.Image);
  let count = 0;
  if (container) {
    for await (const line of engine.logs(container.Id, { follow, tail: lines, signal })) {
      output.log(line);
      count += 1;
    }
  } else {
    const kept = lastKeptLog(surroundings);
    if (!kept) throw new TorbizError("not-sharing", "Nothing is shared, and nothing was: there is no log.");
    output.note(`Nothing is shared now. This is the log of the share that ended last: ${kept.path}`);
    for (const line of kept.lines.slice(Math.max(0, kept.lines.length - lines))) {
      output.log(line);
      count += 1;
    }
  }
  output.result({ lines: count }, "");
}
