import fc from "fast-check";
import { entriesOf } from "../../../src/lib/docker/build/build-cache";
import { Engine, type CacheEntry } from "../../../src/lib/docker/engine";
import { scriptedEngine, type ScriptedEngine } from "../docker/scripted-engine";
import { fixture } from "./recording";

const dockerfile = fixture("Dockerfile.recorded");

let engine: ScriptedEngine;
let asked: string[];
let answer: string;

beforeEach(async () => {
  asked = [];
  engine = await scriptedEngine((request, response) => {
    asked.push(`${request.method} ${decodeURIComponent(request.url ?? "")}`);
    response.end(answer);
  });
});
afterEach(() => engine.close());

const open = () =>
  new Engine({ url: `unix://${engine.socketPath}`, socketPath: engine.socketPath, source: "option" }, "1.41");

describe.each(["build-cache-20.json", "build-cache-26.json"])("what a real build left (%s)", (name) => {
  const cache = async (): Promise<CacheEntry[]> => {
    answer = fixture(name);
    return (await open().diskUsage()).buildCache;
  };

  it("is ours but for the base image and the files on their way into it", async () => {
    const all = await cache();
    const ours = new Set(entriesOf(dockerfile, all).map(({ id }) => id));
    const others = all.filter(({ id }) => !ours.has(id)).map(({ description }) => description);
    expect(new Set(others)).toEqual(
      new Set(["from local ", "local source for context", "local source for dockerfile"]),
    );
    const bytes = all.filter(({ id }) => ours.has(id)).reduce((sum, entry) => sum + entry.bytes, 0);
    expect(bytes).toBeGreaterThan(2.5e9);
  });

  it("is what stands on our steps, too, whatever it is called", async () => {
    const all = await cache();
    const ours = new Set(entriesOf(dockerfile, all).map(({ id }) => id));
    const standing = ({ parents }: CacheEntry) => parents.some((parent) => ours.has(parent));
    expect(all.filter(standing).length).toBeGreaterThan(5);
    const renamed = all.map((entry) => ({ ...entry, description: standing(entry) ? "" : entry.description }));
    expect(new Set(entriesOf(dockerfile, renamed).map(({ id }) => id))).toEqual(ours);
  });

  it("isn't somebody else's Dockerfile's", async () => {
    const other = "FROM debian AS packages\nRUN pip install torch\nCOPY python /python\nWORKDIR /cache\n";
    expect(entriesOf(other, await cache())).toEqual([]);
  });
});

it("is nothing of what others built, whatever stands beside it", () => {
  const texts = fc.oneof(
    fc.string(),
    fc.constantFrom(
      "fileop target",
      "mount / from exec /bin/sh -c pip install torch",
      "[stage-1 2/7] WORKDIR /cache",
      "[stage-1 5/7] WORKDIR /other",
      "pulled from docker.io/library/python:3.11-slim-bookworm",
    ),
  );
  const entry = fc.record({
    id: fc.string(),
    description: texts,
    parents: fc.array(fc.string()),
    bytes: fc.nat(),
    shared: fc.boolean(),
  });
  fc.assert(fc.property(fc.array(entry), (entries) => expect(entriesOf(dockerfile, entries)).toEqual([])));
});

it("is removed by name, and never without one", async () => {
  answer = "{}";
  await open().removeFromBuildCache([]);
  expect(asked).toEqual([]);
  await open().removeFromBuildCache(["one", "two"]);
  expect(asked).toEqual(['POST /v1.41/build/prune?all=true&filters={"id":["^(one|two)$"]}']);
});
