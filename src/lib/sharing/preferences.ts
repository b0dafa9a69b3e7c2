import { TorbizError, toTorbizError, type ErrorCode } from "../errors";
import { findModel } from "../models";
import { parseAmount, type LimitRequest } from "./limits";
import { isPort } from "./port";
import { parseSwarm, type Swarm } from "./swarm";

/** What a person's preferences say of a share. What they leave open is undefined. */
export interface SharePreferences {
  model?: string;
  swarm: Swarm;
  port?: number;
  limits: LimitRequest;
  token?: string;
}

/** The preferences that are read here, by the titles under which people see them. */
export const PREFERENCE_TITLES = {
  defaultModel: "Default Model",
  swarm: "Swarm",
  swarmPeers: "Swarm Peers",
  cpuLimit: "CPU Limit",
  memoryLimit: "Memory Limit",
  diskLimit: "Disk Limit",
  port: "Port",
  huggingFaceToken: "Hugging Face Token",
} as const;

type Preference = keyof typeof PREFERENCE_TITLES;

const GIGABYTE = 1_000_000_000;

/**
 * Reads preferences as a launcher hands them over: texts, perhaps empty, perhaps of an older version of Torbiz.
 *
 * @throws TorbizError that names the preference which can't be used; `details.preference` is its name
 * @example
 * readSharePreferences({ swarm: "private", memoryLimit: "50%" }).limits.memory; // { fraction: 0.5 }
 */
export function readSharePreferences(values: Readonly<Record<string, unknown>>): SharePreferences {
  const read = <T>(name: Preference, parse: (text: string) => T): T | undefined => {
    const value = values[name] ?? "";
    if (typeof value !== "string") throw unusable(name, "unexpected", "it isn't text.");
    const text = value.trim();
    if (text === "") return undefined;
    try {
      return parse(text);
    } catch (error) {
      const { code, message } = toTorbizError(error);
      throw unusable(name, code, message);
    }
  };
  const choice = read("swarm", (text) => (text === "join" ? text : parseSwarm([text]))) ?? parseSwarm([]);
  const swarm = choice === "join" ? read("swarmPeers", (text) => parseSwarm(text.split(/[\s,]+/))) : choice;
  if (!swarm) {
    throw unusable("swarmPeers", "swarm-invalid", `it is empty, but ${PREFERENCE_TITLES.swarm} is set to Join Peers.`);
  }
  return {
    model: read("defaultModel", (text) => findModel(text).id),
    swarm,
    port: read("port", parsePort),
    limits: {
      cpus: read("cpuLimit", (text) => parseAmount(text, "processors")),
      memory: read("memoryLimit", (text) => parseAmount(text, "bytes")),
      diskBytes: read("diskLimit", parseGigabytes),
    },
    token: read("huggingFaceToken", (text) => text),
  };
}

function parsePort(text: string): number {
  const port = Number(text);
  if (isPort(port)) return port;
  throw new TorbizError("port-invalid", `"${text}" is not a number from 1024 to 65535.`);
}

function parseGigabytes(text: string): number {
  const [, number = ""] = /^(\d+(?:\.\d+)?)\s*(?:GB?)?$/i.exec(text) ?? [];
  if (Number(number) >= 1) return Number(number) * GIGABYTE;
  throw new TorbizError("limit-invalid", `"${text}" is not a number of gigabytes of at least 1.`);
}

function unusable(preference: Preference, code: ErrorCode, why: string): TorbizError {
  return new TorbizError(code, `The preference ${PREFERENCE_TITLES[preference]} can't be used: ${why}`, {
    hint: "Change it in Torbiz's preferences, and try again.",
    details: { preference },
  });
}
