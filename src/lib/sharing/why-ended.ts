import type { ContainerInspectInfo } from "dockerode";
import type { LogLine } from "../docker/demux";
import type { EngineContext } from "../context";
import { errorCodes, TorbizError, type ErrorCode } from "../errors";
import { isPortTaken } from "../docker/port-taken";
import { defaultModel } from "../models";
import { keepLogs } from "./kept-logs";
import { distrustStarterModel } from "../starter-folder";
import { shareFailure } from "./share-failure";
import { readStatus, type SharingStatus } from "./status";

const LAST_LINES = 20;

/**
 * Why a share ended that nobody stopped: the seeder's own words out of its log, which is kept in the home folder.
 * `details` has the exit code, the log's path, its last lines, and what Docker said where it could not start the
 * container. A model that turned out to be damaged is prepared anew by the next start.
 */
export async function whyEnded(context: EngineContext, containerId: string): Promise<TorbizError> {
  const container = await context.engine.inspect(containerId);
  const kept = container && (await keepLogs(context, container));
  if (!kept) return new TorbizError("share-failed", "The container was removed meanwhile.");
  const { path, lines } = kept;
  const status = readStatus(container);
  const { Error: refusal, OOMKilled } = container.State;
  const details = {
    exitCode: status.exitCode,
    log: path,
    lines: lines.slice(-LAST_LINES).map(({ text }) => text),
    ...(refusal && { docker: refusal }),
  };
  if (OOMKilled) {
    return shareFailure("not-enough-memory", "The server ran out of memory.", { details });
  }
  const named = namedFailure(lines);
  if (named?.code === "model-broken" && status.model === defaultModel.id) distrustStarterModel(context.paths);
  const { code, message } = named ?? {
    code: isPortTaken(refusal) ? ("port-in-use" as const) : ("share-failed" as const),
    message: status.message ?? "The server ended by itself.",
  };
  // The page on which the model's owner grants access.
  const [url] = (code === "model-gated" && /https?:\/\/\S+/.exec(message)) || [];
  return shareFailure(code, message, { details, ...(url && { action: { title: "Ask for Access", url } }) });
}

/** The same of a share that is over, where that isn't as it should be; undefined else, and where its log can't be read. */
export async function whyFailed(
  context: EngineContext,
  container: Pick<ContainerInspectInfo, "Id"> | undefined,
  { state, exitCode }: Pick<SharingStatus, "state" | "exitCode">,
): Promise<TorbizError | undefined> {
  if (!container || state !== "exited" || exitCode === 0) return undefined;
  return whyEnded(context, container.Id).catch(() => undefined); // then the status has to do
}

/** The seeder's own last word: `ERROR torbiz.seeder: [code] sentence`. */
function namedFailure(lines: readonly LogLine[]): { code: ErrorCode; message: string } | undefined {
  for (const { text } of lines.toReversed()) {
    const [, code, message] = / ERROR torbiz\.seeder: \[([a-z-]+)\] (.+)$/.exec(text) ?? [];
    if (!code || !message) continue;
    const known = errorCodes.find((known) => known === code && known !== "unexpected");
    return { code: known ?? "share-failed", message };
  }
  return undefined;
}
