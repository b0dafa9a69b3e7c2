import type { EngineChoice } from "../lib/ask/engine-choice";
import { listEngines, type EngineInfo, type EnginesOptions } from "../lib/ask/engines";
import type { Session } from "./session";
import { table } from "./table";

/** `torbiz engines`: all that can be asked, how near it is to an answer, and what to type for it. */
export async function runEngines({ output, surroundings }: Session, options?: EnginesOptions): Promise<void> {
  const engines = await listEngines(surroundings, options);
  const rows = engines.map((engine) => [flags(engine.choice), stateOf(engine), engine.title, engine.detail]);
  output.result({ engines }, table(rows));
}

function flags(choice: EngineChoice): string {
  const engine = choice.kind === "server" ? choice.baseUrl : choice.kind;
  return `--engine ${engine}${choice.model === undefined ? "" : ` --model ${choice.model}`}`;
}

function stateOf({ state, warm }: EngineInfo): string {
  return warm ? "loaded" : STATES[state];
}

const STATES: Record<EngineInfo["state"], string> = {
  ready: "ready",
  "needs-setup": "set up at first",
  "needs-download": "downloaded at first",
  unavailable: "not available",
};
