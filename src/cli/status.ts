import { openEngine } from "../lib/context";
import { finishText } from "../lib/sharing/finish-text";
import { noticesOf } from "../lib/sharing/notices";
import { orPreparing } from "../lib/sharing/or-preparing";
import { readStatus, type SharingStatus } from "../lib/sharing/status";
import { downloadText } from "../lib/sharing/download-text";
import { whyFailed } from "../lib/sharing/why-ended";
import { fullHint } from "./output";
import { describeBlocks } from "./share";
import type { Session } from "./session";

/** `torbiz status`: one inspect call, and the build's lock; the log as well where a share has failed. */
export async function runStatus({ output, surroundings }: Session): Promise<void> {
  const context = await openEngine(surroundings);
  const container = await context.engine.inspect(context.names.container);
  const status = orPreparing(readStatus(container), surroundings);
  const why = await whyFailed(context, container, status);
  const reason = why && { code: why.code, message: why.message, hint: fullHint(why) };
  output.result({ ...status, reason: reason ?? null }, describe(status, reason));
}

function describe(status: SharingStatus, reason?: { message: string; hint: string }): string {
  switch (status.state) {
    case "absent":
      return `Nothing is shared. ${describeLastBuild(status)}Start with \`torbiz share\`.`;
    case "building":
    case "foreign":
      return String(status.message);
    case "exited":
      return reason
        ? `Sharing ${status.model} has ended. ${reason.message}\n  ${reason.hint}`
        : `Sharing ${status.model} has ended. ${status.message ?? ""} See \`torbiz logs\`.`;
    default:
      if (!status.model) return `${WORDS[status.state]}. ${status.message ?? ""}`;
      return [
        `${WORDS[status.state]}: ${status.model}`,
        `  Stage     ${status.download ? downloadText(status.download) : (status.stage ?? "unknown")}`,
        `  Blocks    ${describeBlocks(status)}`,
        `  Swarm     ${status.swarm}`,
        ...(status.peerId ? [`  Peer      ${status.peerId}`] : []),
        ...status.addresses.map((address) => `  Address   ${address}`),
        `  Sessions  ${status.sessions} now, ${status.tokens} tokens served`,
        ...(status.throughput === null ? [] : [`  Speed     ${speedText(status)}`]),
        ...(status.since ? [`  Since     ${new Date(status.since).toLocaleString()}`] : []),
        ...(status.state === "finishing" ? [`  Finish    ${finishText(status)}`] : []),
        ...(status.message ? [`  ${status.message}`] : []),
        ...noticesOf(status).map(({ title, text }) => `  ${title}: ${text}`),
      ].join("\n");
  }
}

/** "301.2 tokens/s announced, 12.4 measured while serving" */
function speedText({ throughput, served }: SharingStatus): string {
  const announced = `${throughput?.toFixed(1)} tokens/s announced`;
  return served === null ? announced : `${announced}, ${served.toFixed(1)} measured while serving one session`;
}

function describeLastBuild({ lastBuild }: SharingStatus): string {
  return lastBuild?.outcome === "failed" ? `The last build of the image failed: ${lastBuild.message} ` : "";
}

const WORDS = {
  starting: "Starting",
  online: "Online",
  finishing: "Finishing",
  stopping: "Stopping",
  paused: "Paused",
  unknown: "Unknown",
};
