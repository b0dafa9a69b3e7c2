import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { EngineContext } from "../../src/lib/context";
import { runOneOff } from "../../src/lib/docker/one-off";
import { TorbizError } from "../../src/lib/errors";
import { MODELS } from "../../src/lib/models";
import { LABELS } from "../../src/lib/names";
import { openTestBed, torbiz } from "./torbiz";

const MINUTES = 60_000;
const TINY = "TinyLlama/TinyLlama-1.1B-Chat-v1.0";
/** What the hub's library leaves of two models. */
const FILL = `
from pathlib import Path
for name, size in (("TinyLlama--TinyLlama-1.1B-Chat-v1.0", 3_000_000), ("owner--unknown", 1_000)):
    blobs = Path("/cache/petals", f"models--{name}", "blobs")
    blobs.mkdir(parents=True, exist_ok=True)
    blobs.joinpath("0" * 40).write_bytes(bytes(size))
`;
let context: EngineContext;

beforeAll(async () => {
  ({ context } = await openTestBed());
}, 5 * MINUTES);

describe("before anything is shared", () => {
  it(
    "tells what can be shared and how much of it fits",
    async () => {
      const { code, last } = await torbiz(["share", "--list", "--memory", "3g"]);
      expect(code).toBe(0);
      const models = last.models as { id: string; fit: { blocks: number; reason: string } }[];
      expect(models.map(({ id }) => id)).toEqual(expect.arrayContaining(MODELS.map(({ id }) => id)));
      expect(models[0]?.fit).toMatchObject({
        blocks: 30,
        reason: expect.stringContaining("of 3.0 GB that sharing may use") as unknown,
      });
      expect(models.at(MODELS.length - 1)?.fit).toMatchObject({ blocks: 0 });
    },
    MINUTES,
  );

  it(
    "measures this computer with a model that isn't here, once, and leaves nothing behind",
    async () => {
      const check = ["share", "--check", "--model", "tinyllama-1.1b-chat", "--memory", "3g"];
      const first = await torbiz(check);
      expect(first).toMatchObject({ code: 0 });
      expect(first.events).toContainEqual(expect.objectContaining({ event: "stage", stage: "measuring" }));
      const speed = first.last.speed as { blockTokensPerSecond: number; words: string };
      expect(first.last.model).toMatchObject({ blockBytes: 177_938_924, blockFileBytes: 88_088_576 });
      expect(speed.blockTokensPerSecond).toBeGreaterThan(0);
      expect(speed.words).toMatch(
        /^Measured: about [\d.]+ tokens\/s through the 9 blocks that fit\. The whole model needs 3/,
      );

      const again = await torbiz(check);
      expect(again.last.speed).toEqual(speed);
      expect(again.events.filter(({ event }) => event === "stage")).toEqual([]);
      expect(readFileSync(join(context.paths.home, "speed.json"), "utf8")).toContain("tinyllama-1.1b-chat");
      const left = await context.engine.list(LABELS.managed);
      expect(left.filter(({ Names: [name] = [] }) => name?.startsWith("/torbiz-speed-"))).toEqual([]);
    },
    5 * MINUTES,
  );
});

describe("the cache of blocks", () => {
  beforeAll(async () => {
    const { engine, names } = context;
    await engine.ensureVolume(names.volume, { [LABELS.managed]: "1", [LABELS.instance]: names.instance });
    const limit = { ms: MINUTES, error: () => new TorbizError("unexpected", "It took too long.") };
    const mounts = [{ Type: "volume" as const, Source: names.volume, Target: "/cache" }];
    const command = ["python", "-c", FILL];
    const filled = await runOneOff({
      ...{ engine, names, job: "fill", command, memoryBytes: 2 ** 28, tmpBytes: 2 ** 20, mounts, limit },
    });
    expect(filled).toMatchObject({ exitCode: 0 });
  }, MINUTES);

  it(
    "tells what is kept of each model, the largest first",
    async () => {
      const { last } = await torbiz(["cache", "list"]);
      const models = last.models as { repository: string }[];
      expect(models.filter(({ repository }) => [TINY, "owner/unknown"].includes(repository))).toEqual([
        { id: "tinyllama-1.1b-chat", repository: TINY, volumeBytes: 3_000_000, homeBytes: 0 },
        { id: null, repository: "owner/unknown", volumeBytes: 1_000, homeBytes: 0 },
      ]);
    },
    2 * MINUTES,
  );

  it(
    "removes one after a yes, and only that",
    async () => {
      const unasked = await torbiz(["cache", "remove", TINY]);
      expect(unasked).toMatchObject({ code: 2, last: { code: "usage" } });
      const removed = await torbiz(["cache", "remove", "tinyllama-1.1b-chat", "--yes"]);
      expect(removed).toMatchObject({ code: 0, last: { bytes: 3_000_000 } });
      const again = await torbiz(["cache", "remove", TINY, "--yes"]);
      expect(again).toMatchObject({ code: 1, last: { code: "model-missing" } });
      const { last } = await torbiz(["cache", "list"]);
      expect((last.models as { repository: string }[]).map(({ repository }) => repository)).toContain("owner/unknown");
      expect(await torbiz(["cache", "remove", "owner/unknown", "--yes"])).toMatchObject({ code: 0 });
    },
    3 * MINUTES,
  );

  it(
    "keeps the starter out of it",
    async () => {
      const refused = await torbiz(["cache", "remove", "smollm2-135m-instruct", "--yes"]);
      expect(refused).toMatchObject({ code: 1, last: { code: "model-missing" } });
    },
    MINUTES,
  );
});
