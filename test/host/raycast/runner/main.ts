import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { ApiShape } from "../api-shape";
import type { ResidentReport } from "../protocol";
import { countChildProcesses } from "./child-processes";
import { type Command, startCommand } from "./command";
import { serve, tell } from "./link";

/** The process of a command: `node runner.mjs SHAPE-FILE`, with an IPC channel to the launcher. */

const SETTLED_MS = 50;
const [shapeFile = ""] = process.argv.slice(2);
const shape = JSON.parse(readFileSync(shapeFile, "utf8")) as ApiShape;
const childProcesses = countChildProcesses();
let command: Command | undefined;

function crash(error: unknown): void {
  tell({ kind: "crash", message: error instanceof Error ? (error.stack ?? error.message) : String(error) });
}

process.on("uncaughtException", crash);
process.on("unhandledRejection", crash);

function running(): Command {
  if (!command) throw new Error("No command runs.");
  return command;
}

serve({
  start(launch) {
    command = startCommand(launch, shape, crash);
  },
  invoke: (node, handler, args, toItsEnd) => running().invoke(node, handler, args, toItsEnd),
  pressToast: (id, action) => running().pressToast(id, action),
  pop: () => running().pop(),
  unload() {
    command?.unload();
    command = undefined;
  },
  async report(): Promise<ResidentReport> {
    // What is left of the last load's own timers.
    await sleep(SETTLED_MS);
    globalThis.gc?.();
    const activeResources: Record<string, number> = {};
    for (const kind of process.getActiveResourcesInfo()) activeResources[kind] = (activeResources[kind] ?? 0) + 1;
    return { heapUsed: process.memoryUsage().heapUsed, activeResources, childProcesses: childProcesses() };
  },
});
