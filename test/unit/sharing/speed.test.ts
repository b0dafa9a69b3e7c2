import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openEngine, type EngineContext } from "../../../src/lib/context";
import { defaultModel, findModel } from "../../../src/lib/models";
import { knownSpeed, measureSpeed, outlookOf, USEFUL_TOKENS_PER_SECOND, rate } from "../../../src/lib/sharing/speed";
import { LABELS, scriptedShare, type ScriptedShare } from "./scripted-share";

const LIMITS = { memoryBytes: 3e9, nanoCpus: 1.5e9, threads: 2 };
const SPEED = { blockTokensPerSecond: 120, measuredAt: "2026-01-31T12:00:00.000Z" };

describe("what a speed means", () => {
  const tiny = findModel("tinyllama-1.1b-chat");

  it("is told for the blocks that fit, and for the swarm that the whole model takes", () => {
    expect(outlookOf(tiny, { blocks: 11 }, SPEED)).toEqual({
      tokensPerSecond: 120 / 11,
      computers: 2,
      wholeTokensPerSecond: 120 / 22,
      slow: false,
      words:
        "Measured: about 11 tokens/s through the 11 blocks that fit. " +
        "The whole model needs 2 computers like this, and makes about 5 tokens/s with them.",
    });
  });

  it("leaves the swarm out where one computer is enough", () => {
    expect(outlookOf(tiny, { blocks: 22 }, SPEED).words).toBe("Measured: about 5 tokens/s through all blocks.");
  });

  it.each([
    [USEFUL_TOKENS_PER_SECOND * 22, false],
    [USEFUL_TOKENS_PER_SECOND * 22 - 0.1, true],
  ])("says when %d tokens/s a block would slow the swarm", (blockTokensPerSecond, slow) => {
    const outlook = outlookOf(tiny, { blocks: 1 }, { ...SPEED, blockTokensPerSecond });
    expect(outlook.slow).toBe(slow);
    expect(outlook.words.includes("would slow a swarm")).toBe(slow);
  });
});

describe("a speed that was measured", () => {
  let share: ScriptedShare;
  let context: EngineContext;

  beforeEach(async () => {
    share = await scriptedShare();
    context = await openEngine(share.surroundings);
  });

  afterEach(() => share.close());

  it("counts for its model, image and limit of processors", async () => {
    share.image = { "com.torbiz.inputs": "abc" };
    const key = `${defaultModel.id}  abc ${LIMITS.nanoCpus}`;
    writeFileSync(join(context.paths.home, "speed.json"), JSON.stringify({ [key]: SPEED, other: 3 }));
    expect(await knownSpeed(context, defaultModel, LIMITS)).toEqual(SPEED);
    expect(await knownSpeed(context, defaultModel, { ...LIMITS, nanoCpus: 1e9 })).toBeUndefined();
    expect(await knownSpeed(context, findModel("tinyllama-1.1b-chat"), LIMITS)).toBeUndefined();
    share.image = { "com.torbiz.inputs": "def" };
    expect(await knownSpeed(context, defaultModel, LIMITS)).toBeUndefined();
  });

  it.each(["", "null", "[1]", '{"x": 1}'])("outlives a damaged file: %j", async (content) => {
    share.image = {};
    writeFileSync(join(context.paths.home, "speed.json"), content);
    expect(await knownSpeed(context, defaultModel, LIMITS)).toBeUndefined();
    expect(readFileSync(join(context.paths.home, "speed.json"), "utf8")).toBe(content);
  });

  it("takes an image, and a computer that shares nothing meanwhile", async () => {
    await expect(measureSpeed(context, defaultModel, LIMITS)).rejects.toMatchObject({ code: "image-missing" });
    share.image = {};
    share.container = { State: { Status: "running", Running: true }, Config: { Labels: LABELS } };
    await expect(measureSpeed(context, defaultModel, LIMITS)).rejects.toMatchObject({ code: "already-sharing" });
  });
});

test.each([
  [0.04, "0.04"],
  [9.4, "9"],
  [9.6, "10"],
  [12.3, "12"],
])("a rate of %d is told as %s", (tokensPerSecond, words) => {
  expect(rate(tokensPerSecond)).toBe(words);
});
