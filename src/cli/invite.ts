import { openEngine } from "../lib/context";
import { shareInvite } from "../lib/sharing/share-invite";
import type { Session } from "./session";

/** `torbiz invite`: one line to give to others. */
export async function runInvite({ output, surroundings }: Session): Promise<void> {
  const invite = await shareInvite(await openEngine(surroundings));
  output.result({ invite }, invite);
}
