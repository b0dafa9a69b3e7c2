import type { EngineFacts } from "../docker/preflight";
import { TorbizError } from "../errors";
import { gigabytes, RUNTIME_BYTES } from "./fit";

/** How much of something: a part of what the engine has, or a number of its own (processors, or bytes). */
export type Amount = { fraction: number } | { absolute: number };

/** What a person allows a share to use; three quarters of the engine, and any disk, where nothing is said. */
export interface LimitRequest {
  cpus?: Amount;
  /** In bytes. */
  memory?: Amount;
  /** For blocks that are fetched from a model hub and kept: Petals' `--max_disk_space`. */
  diskBytes?: number;
}

/** A share of the engine, in the Engine API's units. */
export interface Limits {
  memoryBytes: number;
  nanoCpus: number;
  /** To compute with. */
  threads: number;
}

/** So that the computer stays usable. */
const DEFAULT: Amount = { fraction: 0.75 };
const SECOND = 1_000_000_000; // the Engine API counts processor time in nanoseconds a second
/** With less a share answers so slowly that peers give it up. */
const LEAST_CPUS = 0.5;
/** One file of a sharded model. */
const LEAST_DISK_BYTES = 1_000_000_000;
const POWERS = ["", "k", "m", "g", "t"];

/**
 * Reads an amount as people write it: "75%", "2" or "1.5" processors, "6g", "6 GB", "512m" or "6 GiB" of bytes (GB are
 * decimal, as Torbiz shows them).
 *
 * @throws TorbizError limit-invalid
 */
export function parseAmount(text: string, unit: "processors" | "bytes"): Amount {
  const [, number = "", scale = ""] = /^(\d+(?:\.\d+)?)\s*(%|[a-z]*)$/i.exec(text.trim()) ?? [];
  const value = Number(number);
  if (scale === "%" && value > 0 && value <= 100) return { fraction: value / 100 };
  const factor = unit === "processors" ? (scale === "" ? 1 : undefined) : bytesOf(scale);
  if (value > 0 && factor) return { absolute: value * factor };
  throw new TorbizError(
    "limit-invalid",
    unit === "bytes"
      ? `"${text}" is not an amount such as 6 GB or 50%.`
      : `"${text}" is not a number of processors such as 2 or 50%.`,
  );
}

/**
 * The same where a part of the engine's is no answer: it doesn't tell how large its disk is.
 * @throws TorbizError limit-invalid
 */
export function parseBytes(text: string): number {
  const amount = parseAmount(text, "bytes");
  if ("absolute" in amount) return amount.absolute;
  throw new TorbizError("limit-invalid", `"${text}" is not an amount of disk such as 20 GB.`);
}

/** Of "", "b", "k", "kb", "kib" and so on; undefined for other words. */
function bytesOf(scale: string): number | undefined {
  const [match, prefix = "", binary] = /^([kmgt]?)(i)?b?$/.exec(scale.toLowerCase()) ?? [];
  if (match === undefined || (binary && !prefix)) return undefined;
  return (binary ? 1024 : 1000) ** POWERS.indexOf(prefix);
}

/**
 * What a container gets of the engine. A part of the processors is never less than one of them, unless one was asked for
 * by number.
 *
 * @throws TorbizError limit-invalid when the engine has less than is asked for, or it is too little to serve at all
 */
export function resourceLimits(
  facts: Pick<EngineFacts, "cpus" | "memoryBytes">,
  { cpus = DEFAULT, memory = DEFAULT, diskBytes }: LimitRequest = {},
): Limits {
  const processors = "absolute" in cpus ? cpus.absolute : Math.max(1, facts.cpus * cpus.fraction);
  const memoryBytes = "absolute" in memory ? memory.absolute : facts.memoryBytes * memory.fraction;
  if (processors > facts.cpus) {
    throw new TorbizError("limit-invalid", `${processors} processors were asked for, but Docker has ${facts.cpus}.`);
  }
  if (processors < LEAST_CPUS) {
    throw new TorbizError("limit-invalid", `${processors} processors are too few to serve: it takes ${LEAST_CPUS}.`);
  }
  if (memoryBytes > facts.memoryBytes) {
    throw new TorbizError(
      "limit-invalid",
      `${gigabytes(memoryBytes)} of memory were asked for, but Docker has ${gigabytes(facts.memoryBytes)}.`,
    );
  }
  if (memoryBytes < RUNTIME_BYTES && "absolute" in memory) {
    throw new TorbizError(
      "limit-invalid",
      `${gigabytes(memoryBytes)} of memory are too little: the server takes ${gigabytes(RUNTIME_BYTES)} without a model.`,
    );
  }
  if (diskBytes !== undefined && diskBytes < LEAST_DISK_BYTES) {
    throw new TorbizError(
      "limit-invalid",
      `${gigabytes(diskBytes)} of disk are too little: a model's files take at least ${gigabytes(LEAST_DISK_BYTES)}.`,
    );
  }
  return {
    memoryBytes: Math.floor(memoryBytes),
    nanoCpus: Math.floor(processors * SECOND),
    threads: Math.ceil(processors),
  };
}
