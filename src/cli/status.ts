import { openEngine } from "../lib/context";
import { orPreparing } from "../lib/sharing/or-preparing";
import { readStatus, type SharingStatus } from "../lib/sharing/status";
import { downloadText } from "../lib/sharing/download-text";
import { describeBlocks } from "./share";
import type { Session } from "./session";

/** `torbiz status`: one inspect call, and the build's lock. */
export async function runStatus({ output, surroundings }: Session): Promise<void> {
  const { engine, names } = await openEngine(surroundings);
  const status = orPreparing(readStatus(await engine.inspect(names.container)), surroundings);
  output.result({ ...status }, describe(status));
}

function describe(status: SharingStatus): string {
  switch (status.state) {
    case "absent":
      return `Nothing is shared. ${describeLastBuild(status)}Start with \`torbiz share\`.`;
    case "building":
    case "foreign":
      return String(status.message);
    case "exited":
      return `Sharing ${status.model} has ended. ${status.message ?? ""} See \`torbiz logs\`.`;
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
        ...(status.since ? [`  Since     ${new Date(status.since).toLocaleString()}`] : []),
        ...(status.message ? [`  ${status.message}`] : []),
      ].join("\n");
  }
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
