import { Clipboard } from "@raycast/api";
import { spawn } from "node:child_process";

/** Starts a child that goes with the command and one that stays; their process ids go to the clipboard. */
export async function spawnTwo(): Promise<void> {
  const child = spawn("sleep", ["600"], { stdio: "ignore" });
  const detached = spawn("sleep", ["600"], { stdio: "ignore", detached: true });
  detached.unref();
  await Clipboard.copy(JSON.stringify({ child: child.pid, detached: detached.pid }));
}
