import { closeSync, openSync, readSync, statSync } from "node:fs";
import { basename, extname, isAbsolute } from "node:path";
import { TorbizError } from "../errors";
import { defaultModel, isClose } from "../models";

/** A language model that this computer answers with by itself: one GGUF file. */
export interface LocalModel {
  /** Small letters, digits, dashes and dots: names its folder in the home folder. For a file of the user's own, its path. */
  id: string;
  title: string;
  /** Where it is downloaded from; absent where it isn't. */
  hub?: HubFile;
  /** The file's name; for a file of the user's own its absolute path. */
  file: string;
  /** Size of the file. */
  bytes: number;
  /** Memory that answering takes: `memoryFor`. */
  memoryBytes: number;
  /** The most tokens it was trained to hold; null where only the file knows. */
  context: number | null;
  /** SPDX identifier; null where only the file knows. */
  license: string | null;
  /** How freely it chooses its words unless told otherwise, OpenAI's `temperature`: what its maker advises. */
  temperature: number;
  /** One line for people who choose. */
  note: string;
  source: "starter" | "hub" | "file";
}

/** A model that is offered. */
export interface OfferedModel extends LocalModel {
  /** Memory of the computers that it is for: there it leaves at least half of it to the system and what else is open. */
  computerBytes: number;
}

/** A file on the model hub that never changes. */
export interface HubFile {
  /** "owner/name". */
  repo: string;
  /** The commit. */
  revision: string;
  /** Of the file, 64 hex digits. */
  sha256: string;
}

/** llama.cpp's own default. */
const FILE_TEMPERATURE = 0.8;
const STARTER_BYTES = 270_885_952;

/**
 * The models that are offered, the smallest first: for each usual memory size the one to take, all of them under an open
 * license, published by their makers as one GGUF file of 4 bits, without a login, and answering at once (models that first
 * think at length are left out). Where a maker trained the model for its 4-bit form (QAT), that form is taken.
 *
 * Sizes, hashes and commits are what the hub's API and its `X-Linked-Size` and `X-Linked-ETag` headers told others, who
 * recorded them in catalogues, lock files and test reports of their own; each was found in at least two that are
 * independent of each other, in autumn 2026. A download is checked against them. Context lengths and licenses are those of
 * the model cards.
 */
export const LOCAL_MODELS: readonly [OfferedModel, ...OfferedModel[]] = [
  {
    id: defaultModel.id,
    title: defaultModel.title,
    file: "SmolLM2-135M-Instruct-F16.gguf",
    bytes: STARTER_BYTES,
    memoryBytes: memoryFor(STARTER_BYTES),
    computerBytes: 0,
    context: 8_192,
    license: "Apache-2.0",
    temperature: 0,
    note: "For trying out: small and quick, and often wrong.",
    source: "starter",
  },
  onHub({
    id: "granite-4.1-3b",
    title: "Granite 4.1 3B",
    repo: "ibm-granite/granite-4.1-3b-GGUF",
    revision: "ab4701481089b58a082ef63cc1cee738887293ff",
    sha256: "662b0626cd58f443baea23559b469df6576a81d349649c59413b36a9fb32eb29",
    file: "granite-4.1-3b-Q4_K_M.gguf",
    bytes: 2_099_501_664,
    context: 131_072,
    computerGigabytes: 8,
    temperature: 0,
    note: "By IBM: quick, and good at following instructions.",
  }),
  onHub({
    id: "gemma-4-e4b",
    title: "Gemma 4 E4B",
    repo: "google/gemma-4-E4B-it-qat-q4_0-gguf",
    revision: "4b4a2c1d584be7264f87aac328a1bc739ce81b6c",
    sha256: "676c35070db6dbe52f93e9c864ee0fba4eddea94b9c875d9cb10daff453fbaee",
    file: "gemma-4-E4B_q4_0-it.gguf",
    bytes: 5_154_941_280,
    context: 131_072,
    computerGigabytes: 16,
    temperature: 1,
    note: "By Google: good everyday answers in many languages.",
  }),
  onHub({
    id: "gemma-4-12b",
    title: "Gemma 4 12B",
    repo: "google/gemma-4-12B-it-qat-q4_0-gguf",
    revision: "29d097773436b69ff9feafd636ab4cf873786537",
    sha256: "93567e57a8fe10b23569b9d9ec38cd005deedf71e29477c421a4b83f418a538b",
    file: "gemma-4-12b-it-qat-q4_0.gguf",
    bytes: 6_975_879_296,
    context: 262_144,
    computerGigabytes: 24,
    temperature: 1,
    note: "By Google: better answers, slower without a fast graphics chip.",
  }),
  onHub({
    id: "gemma-4-26b-a4b",
    title: "Gemma 4 26B A4B",
    repo: "google/gemma-4-26B-A4B-it-qat-q4_0-gguf",
    revision: "d1c082be9cf3c8a514acf63b8761f4b41935842e",
    sha256: "3eca3b8f6d7baf218a7dd6bba5fb59a56ee25fe2d567b6f5f589b4f697eca51d",
    file: "gemma-4-26B_q4_0-it.gguf",
    bytes: 14_439_363_584,
    context: 262_144,
    computerGigabytes: 32,
    temperature: 1,
    note: "By Google: a large model as quick as a small one, of which it uses a part at a time.",
  }),
  onHub({
    id: "gemma-4-31b",
    title: "Gemma 4 31B",
    repo: "google/gemma-4-31B-it-qat-q4_0-gguf",
    revision: "59dde24573e7e61570dba08b18a2e1fe246955ed",
    sha256: "179cfb99212709597eae5929112cfca677e1bbf566178b479ae1da0c4772874b",
    file: "gemma-4-31B_q4_0-it.gguf",
    bytes: 17_651_001_568,
    context: 262_144,
    computerGigabytes: 64,
    temperature: 1,
    note: "By Google: the best answers of these, and the slowest.",
  }),
];

interface HubEntry
  extends HubFile, Pick<LocalModel, "id" | "title" | "file" | "bytes" | "context" | "temperature" | "note"> {
  computerGigabytes: number;
}

function onHub({ repo, revision, sha256, computerGigabytes, ...model }: HubEntry): OfferedModel {
  return {
    ...model,
    hub: { repo, revision, sha256 },
    memoryBytes: memoryFor(model.bytes),
    computerBytes: computerGigabytes * 1024 ** 3,
    license: "Apache-2.0",
    source: "hub",
  };
}

/**
 * Memory that answering takes with a GGUF file of this size, about: the weights, and with them the attention cache of 8,192
 * tokens (0.7 GB with Granite 4.1 3B, 1.5 GB with Gemma 4 31B) and the buffers in which llama.cpp computes.
 */
function memoryFor(bytes: number): number {
  return Math.round(bytes * 1.1 + 0.8e9);
}

/**
 * The model that a person names: its id in any case, or the absolute path of a GGUF file.
 *
 * @throws TorbizError model-unknown with the known ids, and the one that may have been meant; model-missing and
 *   model-broken for a file
 *
 * @example
 * findLocalModel("Granite-4.1-3B").bytes; // 2099501664
 */
export function findLocalModel(text: string): LocalModel {
  const wanted = text.trim();
  if (isAbsolute(wanted)) return modelOfFile(wanted);
  const name = wanted.toLowerCase();
  const found = LOCAL_MODELS.find((model) => model.id === name);
  if (found) return found;
  const known = LOCAL_MODELS.map((model) => model.id);
  if (extname(name) === ".gguf" || /[/\\]/.test(name)) {
    throw new TorbizError("model-unknown", `"${text}" isn't the whole path of a file.`, {
      hint: "Give the path from its beginning, such as /home/me/model.gguf.",
      details: { known },
    });
  }
  const meant = known.find((id) => isClose(name, id));
  throw new TorbizError("model-unknown", `Torbiz doesn't know the model "${text}" for this computer.`, {
    hint: `${meant ? `Did you mean ${meant}? ` : ""}It knows: ${known.join(", ")}. Or give the path of a GGUF file.`,
    details: { known, ...(meant && { meant }) },
  });
}

/** A system reports a little less memory than is built in: what its firmware and graphics take. */
const REPORTED = 0.9;

/**
 * The model to offer for a computer.
 * @param memoryBytes as its system reports it, such as `os.totalmem()`
 */
export function recommendedModel(memoryBytes: number): OfferedModel {
  return LOCAL_MODELS.findLast((model) => model.computerBytes * REPORTED <= memoryBytes) ?? LOCAL_MODELS[0];
}

/** A GGUF file begins with these four letters and its version: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
const MAGIC = "GGUF";

function modelOfFile(path: string): LocalModel {
  const bytes = checkGguf(path);
  return {
    id: path,
    title: basename(path, extname(path)),
    file: path,
    bytes,
    memoryBytes: memoryFor(bytes),
    context: null,
    license: null,
    temperature: FILE_TEMPERATURE,
    note: "A file of your own.",
    source: "file",
  };
}

/** @returns the file's size */
function checkGguf(path: string): number {
  const hint = "Choose a GGUF file that is complete.";
  const start = Buffer.alloc(8);
  let size: number;
  let read: number;
  try {
    const facts = statSync(path);
    if (!facts.isFile()) throw new TorbizError("model-broken", `${path} isn't a file.`, { hint });
    size = facts.size;
    const file = openSync(path, "r");
    try {
      read = readSync(file, start, 0, start.length, 0);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if (error instanceof TorbizError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    const message = code === "ENOENT" ? `There is no file ${path}.` : `${path} can't be read (${code ?? "unknown"}).`;
    throw new TorbizError("model-missing", message, {
      hint: "Check the path, and that you may read it.",
      cause: error,
    });
  }
  if (read < start.length || start.toString("latin1", 0, 4) !== MAGIC) {
    throw new TorbizError("model-broken", `${path} isn't a GGUF file.`, { hint });
  }
  return size;
}
