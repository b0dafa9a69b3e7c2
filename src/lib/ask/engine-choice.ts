import type { Swarm } from "../sharing/swarm";

/** What a person chooses to be answered by. */
export type EngineChoice =
  /** This computer. `model`: the id of a model for it, or the absolute path of a GGUF file. */
  | { kind: "this"; model: string }
  /** Peers that serve a model's blocks. `swarm` undefined: the one that `findSwarmTarget` takes for meant. */
  | { kind: "swarm"; model?: string; swarm?: Swarm }
  /** Any server that speaks OpenAI's interface. `model` undefined: its first. */
  | { kind: "server"; baseUrl: string; model?: string };

/** What answered, as a conversation notes it. */
export interface EngineNote {
  kind: EngineChoice["kind"];
  /** The model's id. */
  model: string;
  /** The model's name for people. */
  title: string;
  /** "This Computer", "Swarm", or the server's base URL. */
  where: string;
}

/** A peer that worked on an answer, and the model's blocks that it did, first and last included. */
export interface Hop {
  peer: string;
  blocks: readonly [first: number, last: number];
}
