import fc from "fast-check";
import { BuildProgressParser } from "../../../src/lib/docker/build/progress";
import { planBuild } from "../../../src/lib/docker/build/plan";
import { fixture, replay } from "./recording";

const dockerfile = fixture("Dockerfile.recorded");
const recordings = ["classic.tsv", "buildkit.tsv"];

describe("planBuild", () => {
  it("has an instruction for each step that the classic builder counts, and our two", () => {
    expect(planBuild(dockerfile)).toHaveLength(30 + 2);
  });

  it("takes seconds from the history, and else knows the long steps", () => {
    const [torch] = planBuild(dockerfile).filter(({ title }) => title === "Installing PyTorch");
    expect(torch?.seconds).toBeGreaterThan(5);
    const again = planBuild(dockerfile, { [String(torch?.instruction)]: 77 });
    expect(again.find(({ title }) => title === "Installing PyTorch")?.seconds).toBe(77);
  });
});

describe.each(recordings)("BuildProgressParser on %s", (name) => {
  it("never goes back and ends at 1", () => {
    const { seen } = replay(name);
    seen.forEach(({ percent }, i) => expect(percent).toBeGreaterThanOrEqual(seen[i - 1]?.percent ?? 0));
    expect(seen.at(-1)).toMatchObject({ percent: 1, step: 30, steps: 30 });
    expect(seen.filter(({ percent }) => percent === 1)).toHaveLength(1);
  });

  it("keeps to the time that passes, when it knows how long the steps took the last time", () => {
    const history = replay(name).parser.stepSeconds();
    const { seen, seconds } = replay(name, { history });
    for (const { percent, at } of seen) expect(Math.abs(percent - at / seconds)).toBeLessThan(0.2);
    const half = seen.find(({ at }) => at >= seconds / 2);
    expect(half?.secondsLeft).toBeGreaterThan(seconds * 0.3);
    expect(half?.secondsLeft).toBeLessThan(seconds * 0.7);
  });

  it("comes near without a history, and says nothing of time before it knows the pace", () => {
    const { seen, seconds } = replay(name);
    for (const { percent, at } of seen) expect(Math.abs(percent - at / seconds)).toBeLessThan(0.35);
    expect(seen[0]?.secondsLeft).toBeNull();
    expect(seen.find(({ at }) => at >= seconds * 0.6)?.secondsLeft).not.toBeNull();
  });

  it("names the step and what pip does", () => {
    const { seen } = replay(name);
    expect([...new Set(seen.map(({ title }) => title))]).toEqual(
      expect.arrayContaining(["Installing PyTorch", "Installing Petals and what it needs", "Checking the image"]),
    );
    const details = new Set(seen.map(({ detail }) => detail));
    expect(details).toContain("transformers 4.34.1 (7.7 MB)");
    expect(details).toContain("torch 2.13.0+cpu");
    expect(seen.find(({ title }) => title === "Installing PyTorch")).toMatchObject({ step: 14, steps: 30 });
  });

  it("measures the steps that really ran", () => {
    const { parser } = replay(name);
    const torch = Object.entries(parser.stepSeconds()).find(([instruction]) => instruction.includes("--no-index"));
    expect(torch?.[1]).toBeGreaterThan(3);
    expect(torch?.[1]).toBeLessThan(20);
    expect(parser.stepSeconds()["check"]).toBeGreaterThan(3);
  });

  it("survives unknown lines between all others", () => {
    const parser = new BuildProgressParser({ dockerfile });
    for (const entry of fixture(name).trimEnd().split("\n")) {
      for (const line of [
        entry.split("\t")[1] ?? "",
        "",
        "#",
        "# x",
        "Step x/y : z",
        "Step 99/99 : RUN x",
        "#1 #2 #3",
        "\u0000",
      ]) {
        parser.read(line);
      }
    }
    expect(parser.progress().percent).toBe(1);
  });
});

describe("BuildProgressParser", () => {
  it("takes no time for what was written before it looked", () => {
    const { parser } = replay("classic.tsv", { live: false });
    expect(parser.stepSeconds()).toEqual({});
    expect(parser.progress()).toMatchObject({ percent: 1 });
  });

  it("goes quickly over steps that the builder has kept", () => {
    const parser = new BuildProgressParser({ dockerfile });
    for (let step = 1; step <= 25; step++) {
      parser.read(`Step ${step}/30 : WHATEVER`);
      parser.read(" ---> Using cache");
    }
    parser.read("Step 26/30 : COPY python/torbiz /opt/torbiz/python/torbiz");
    expect(parser.progress().percent).toBeGreaterThan(0.85);
    expect(parser.progress()).toMatchObject({ step: 26, steps: 30 });
    expect(parser.stepSeconds()).toEqual({});
  });

  it("estimates how far a step is that had begun before it looked, by how long the build has run", () => {
    const history = replay("classic.tsv").parser.stepSeconds();
    const lines = fixture("classic.tsv")
      .trimEnd()
      .split("\n")
      .map((entry) => entry.split("\t", 2) as [string, string]);
    const begun = Number(lines.find(([, line]) => line.startsWith("Step 15/"))?.[0]);
    const took = Number(lines.find(([, line]) => line.startsWith("Step 16/"))?.[0]) - begun;
    const peek = (share: number) => {
      const ranForMs = (begun + took * share) * 1000;
      const parser = new BuildProgressParser({ dockerfile, history, now: () => 0, ranForMs });
      for (const [seconds, line] of lines) if (Number(seconds) <= begun) parser.read(line, false);
      return parser.progress();
    };
    const [first, second] = [peek(0.2), peek(0.8)];
    expect(second.percent).toBeGreaterThan(first.percent);
    expect((first.secondsLeft ?? 0) - (second.secondsLeft ?? 0)).toBeCloseTo(took * 0.6, 0);
    expect(second).toMatchObject({ step: 15 });
  });

  it("holds a step that takes longer than expected below its end", () => {
    let now = 0;
    const parser = new BuildProgressParser({ dockerfile, now: () => now });
    parser.read("Step 14/30 : RUN torch");
    const begun = parser.progress().percent;
    now += 3_600_000;
    const late = parser.progress().percent;
    expect(late).toBeGreaterThan(begun);
    parser.read("Step 15/30 : RUN rest");
    expect(parser.progress().percent).toBeGreaterThan(late);
  });
});

it("tells how far a build is whatever lines come, and never goes back", () => {
  const line = fc.oneof(
    fc.string(),
    fc.tuple(fc.nat(99), fc.nat(99), fc.string()).map(([step, of, text]) => `Step ${step}/${of} : ${text}`),
    fc.tuple(fc.nat(99), fc.nat(99), fc.nat(99)).map(([id, step, of]) => `#${id} [packages ${step}/${of}] RUN pip`),
    fc
      .tuple(fc.nat(99), fc.constantFrom("DONE 1.0s", "CACHED", "ERROR: no", "0.5 Collecting x"))
      .map(([id, rest]) => `#${id} ${rest}`),
    fc.constantFrom(" ---> Using cache", " ---> 0123456789ab", "Successfully built 0123456789ab"),
  );
  fc.assert(
    fc.property(fc.array(line, { maxLength: 60 }), (log) => {
      const parser = new BuildProgressParser({ dockerfile });
      let before = 0;
      for (const text of log) {
        parser.read(text);
        const { percent, step, steps } = parser.progress();
        expect(percent).toBeGreaterThanOrEqual(before);
        expect(percent).toBeLessThanOrEqual(1);
        expect(step).toBeLessThanOrEqual(steps);
        before = percent;
      }
    }),
  );
});
