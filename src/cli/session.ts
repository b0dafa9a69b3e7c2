import type { Surroundings } from "../lib/context";
import type { Output } from "./output";

/** What a command runs with. */
export interface Session {
  output: Output;
  surroundings: Surroundings;
  /** Aborted by Ctrl-C and SIGTERM: stop gracefully what this command started, then end. */
  signal: AbortSignal;
  /** Whether a person sits at a terminal and can be asked something. */
  interactive: boolean;
}
