import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { readConfig } from "../../src/lib/model-config";
import { defaultModel, findModel, MODELS } from "../../src/lib/models";

describe("findModel", () => {
  it("finds a model by its id, in any case", () => {
    expect(findModel("smollm2-135m-instruct")).toBe(defaultModel);
    expect(findModel(" SmolLM2-135M-Instruct ")).toBe(defaultModel);
  });

  it("finds a model by its repository, too", () => {
    expect(findModel("tinyllama/tinyllama-1.1b-chat-v1.0").id).toBe("tinyllama-1.1b-chat");
  });

  it("lists what it knows when it doesn't know a name", () => {
    expect(() => findModel("gpt-5")).toThrow(
      expect.objectContaining({
        code: "model-unknown",
        message: 'Torbiz doesn\'t know the model "gpt-5".',
        hint: `It knows: ${MODELS.map(({ id }) => id).join(", ")}.`,
        details: { known: MODELS.map(({ id }) => id) },
      }),
    );
  });

  it.each([
    ["smolm2-135m-instruct", "smollm2-135m-instruct"],
    ["smollm2", "smollm2-135m-instruct"],
    ["SmolLM2-135M", "smollm2-135m-instruct"],
    ["tinylama", "tinyllama-1.1b-chat"],
  ])("takes %s for a slip of %s", (name, meant) => {
    expect(() => findModel(name)).toThrow(
      expect.objectContaining({ details: expect.objectContaining({ meant }) as unknown }),
    );
  });

  it.each(["", "x", "mixtral-8x7b", "qwen2.5-0.5b"])("guesses nothing from %j", (name) => {
    expect(() => findModel(name)).toThrow(
      expect.objectContaining({
        details: expect.not.objectContaining({ meant: expect.anything() as unknown }) as unknown,
      }),
    );
  });
});

describe("the catalogue", () => {
  it("has no two models that could be taken for each other", () => {
    expect(new Set(MODELS.map(({ id }) => id)).size).toBe(MODELS.length);
    expect(new Set(MODELS.map(({ dhtPrefix }) => dhtPrefix)).size).toBe(MODELS.length);
  });

  it("gives ids that are safe as folder names and labels", () => {
    for (const { id } of MODELS) expect(id).toMatch(/^[a-z0-9][a-z0-9.-]*$/);
  });

  it("offers TinyLlama right after the starter", () => {
    expect(MODELS.slice(0, 2).map(({ id }) => id)).toEqual([defaultModel.id, "tinyllama-1.1b-chat"]);
  });

  it("has only models that Petals can serve, with all that people want to know of them", () => {
    for (const { id, config, license, note, source, diskBytes, blocks } of MODELS) {
      expect(readConfig(config, id)).toEqual(config);
      expect(blocks).toBe(config.num_hidden_layers);
      expect(license).toMatch(/^[A-Z]/);
      expect(note).toMatch(/^[A-Z].*\.$/);
      if (source.kind === "starter") continue;
      expect(source.repository).toMatch(/^[\w-]+\/[\w.-]+$/);
      expect(source.revision).toMatch(/^([0-9a-f]{40}|main)$/);
      expect(diskBytes).toBeGreaterThan(1e9);
    }
  });

  it("has the starter that the Python half prepares", () => {
    const starter = readFileSync(resolve("python/torbiz/starter.py"), "utf8");
    expect(/^MODEL_ID = "(.+)"$/m.exec(starter)?.[1]).toBe(defaultModel.id);
  });
});
