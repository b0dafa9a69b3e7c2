import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findLocalModel, LOCAL_MODELS, recommendedModel } from "../../../src/lib/ask/local-models";
import { TorbizError } from "../../../src/lib/errors";

const GB = 1024 ** 3;

function failureOf(text: string): TorbizError {
  try {
    findLocalModel(text);
  } catch (error) {
    if (error instanceof TorbizError) return error;
  }
  throw new Error("It should have failed.");
}

describe("the catalogue", () => {
  it("names each file beyond doubt, the smallest first", () => {
    for (const { id, hub, file, bytes, memoryBytes, computerBytes, license, source } of LOCAL_MODELS) {
      expect(id).toMatch(/^[a-z0-9][a-z0-9.-]+$/);
      expect(file).toMatch(/\.gguf$/);
      expect(memoryBytes).toBeGreaterThan(bytes);
      expect(license).toBe("Apache-2.0");
      expect(hub !== undefined).toBe(source === "hub");
      if (source === "hub") expect(memoryBytes).toBeLessThan(computerBytes / 2);
      if (hub) {
        expect(hub.repo).toMatch(/^[\w.-]+\/[\w.-]+$/);
        expect(hub.revision).toMatch(/^[0-9a-f]{40}$/);
        expect(hub.sha256).toMatch(/^[0-9a-f]{64}$/);
      }
    }
    const sizes = LOCAL_MODELS.map(({ bytes }) => bytes);
    expect(sizes).toEqual([...sizes].sort((a, b) => a - b));
    expect(new Set(LOCAL_MODELS.map(({ id }) => id)).size).toBe(LOCAL_MODELS.length);
  });

  it.each([
    [4, "smollm2-135m-instruct"],
    [8, "granite-4.1-3b"],
    [16, "gemma-4-e4b"],
    [24, "gemma-4-12b"],
    [32, "gemma-4-26b-a4b"],
    [64, "gemma-4-31b"],
  ])("recommends for %i GB of memory %s, also where the system keeps a little for itself", (memory, id) => {
    expect(recommendedModel(memory * GB).id).toBe(id);
    expect(recommendedModel(memory * GB * 0.97).id).toBe(id);
  });
});

describe("findLocalModel", () => {
  let folder: string;
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "torbiz-model-"))));
  afterEach(() => rmSync(folder, { recursive: true }));

  it("knows the catalogue's ids in any case", () => {
    expect(findLocalModel(" Gemma-4-E4B ").title).toBe("Gemma 4 E4B");
  });

  it("suggests what may have been meant", () => {
    expect(failureOf("granit-4.1")).toMatchObject({
      code: "model-unknown",
      hint: expect.stringContaining("Did you mean granite-4.1-3b?"),
    });
    expect(failureOf("llama").hint).toMatch(/^It knows: smollm2-135m-instruct, /);
    expect(failureOf("").code).toBe("model-unknown");
  });

  it("takes a GGUF file by its whole path", () => {
    const path = join(folder, "ein Modell ü.gguf");
    writeFileSync(path, "GGUF\u0003\0\0\0 and more");
    expect(findLocalModel(path)).toMatchObject({
      id: path,
      title: "ein Modell ü",
      file: path,
      bytes: 17,
      source: "file",
    });
    expect(failureOf("./model.gguf").message).toBe(`"./model.gguf" isn't the whole path of a file.`);
  });

  it("says what is wrong with a file", () => {
    const path = join(folder, "model.gguf");
    expect(failureOf(path)).toMatchObject({ code: "model-missing", message: `There is no file ${path}.` });
    for (const content of ["", "GGUF", "PK\u0003\u0004 and more"]) {
      writeFileSync(path, content);
      expect(failureOf(path)).toMatchObject({ code: "model-broken", message: `${path} isn't a GGUF file.` });
    }
    expect(failureOf(folder)).toMatchObject({ code: "model-broken", message: `${folder} isn't a file.` });
    if (process.getuid?.() === 0) return; // root may read anything
    chmodSync(path, 0o000);
    expect(failureOf(path)).toMatchObject({ code: "model-missing", message: `${path} can't be read (EACCES).` });
  });
});
