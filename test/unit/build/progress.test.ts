import fc from "fast-check";
import { BuildProgressParser } from "../../../src/lib/docker/build/progress";
import { planBuild } from "../../../src/lib/docker/build/plan";
import { BUILDERS, fixture, replay } from "./recording";

const dockerfile = fixture("Dockerfile.recorded");
const STEPS = 34;

describe("planBuild", () => {
  it("has an instruction for each step that the classic builder counts, and our two", () => {
    expect(planBuild(dockerfile)).toHaveLength(STEPS + 2);
  });

  it("takes seconds from the history, and else knows the long steps", () => {
    const [torch] = planBuild(dockerfile).filter(({ title }) => title === "Installing PyTorch");
    expect(torch?.seconds).toBeGreaterThan(5);
    const again = planBuild(dockerfile, { [String(torch?.instruction)]: 77 });
    expect(again.find(({ title }) => title === "Installing PyTorch")?.seconds).toBe(77);
  });
});

describe.each(BUILDERS.map((builder) => `${builder}.tsv`))("BuildProgressParser on %s", (name) => {
  it("never goes back, in percent nor in steps, and ends at 1", () => {
    const { seen } = replay(name);
    seen.forEach(({ percent, step }, i) => {
      expect(percent).toBeGreaterThanOrEqual(seen[i - 1]?.percent ?? 0);
      expect(step).toBeGreaterThanOrEqual(seen[i - 1]?.step ?? 1);
    });
    expect(seen.at(-1)).toMatchObject({ percent: 1, step: STEPS, steps: STEPS });
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
    expect(seen.find(({ title }) => title === "Installing PyTorch")).toMatchObject({ step: 16, steps: STEPS });
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
  it.each(["", "#8 0.312 "])("keeps a warning of Docker's disk to the end (%s)", (prefix) => {
    const parser = new BuildProgressParser({ dockerfile });
    for (const line of ["Step 8/34 : RUN x", "#8 [packages 4/12] RUN x"]) parser.read(line);
    parser.read(`${prefix}torbiz: warning the disk of Docker has 2.9 GB free, and the image takes 2.5 GB more`);
    parser.read("Step 9/34 : RUN y");
    expect(parser.progress().warning).toBe("Docker's disk has only 2.9 GB free, which may be too little");
  });

  it("tells nothing of one step under another's title, but warns whichever runs", () => {
    const parser = new BuildProgressParser({ dockerfile });
    const pip = "RUN pip install --no-deps --require-hashes -r /requirements/build.txt";
    for (const line of ["#8 [stage-1 2/7] RUN find", `#9 [packages 6/12] ${pip}`]) parser.read(line);
    parser.read("#8 0.1   Downloading other-1.0-py3-none-any.whl (1 kB)");
    expect(parser.progress()).toMatchObject({ title: "Installing build tools" });
    expect(parser.progress()).not.toHaveProperty("detail");
    parser.read("#9 0.1   Downloading packaging-26.3-py3-none-any.whl (129 kB)");
    parser.read("#10 [stage-1 3/7] COPY --from=packages /opt/torbiz/starter /opt/torbiz/starter");
    parser.read("#8 0.2 torbiz: warning the disk of Docker has 2.9 GB free, and the image takes 2.5 GB more");
    expect(parser.progress()).toMatchObject({
      detail: "packaging 26.3 (129 kB)",
      warning: expect.any(String) as unknown,
    });
    parser.read("#9 DONE 1.0s");
    expect(parser.progress()).not.toHaveProperty("detail");
  });

  it("takes no time for what was written before it looked", () => {
    const { parser } = replay("classic.tsv", { live: false });
    expect(parser.stepSeconds()).toEqual({});
    expect(parser.progress()).toMatchObject({ percent: 1 });
  });

  it("goes quickly over steps that the builder has kept", () => {
    const parser = new BuildProgressParser({ dockerfile });
    for (let step = 1; step <= 29; step++) {
      parser.read(`Step ${step}/34 : WHATEVER`);
      parser.read(" ---> Using cache");
    }
    parser.read("Step 30/34 : COPY python/torbiz /opt/torbiz/python/torbiz");
    expect(parser.progress().percent).toBeGreaterThan(0.85);
    expect(parser.progress()).toMatchObject({ step: 30, steps: STEPS });
    expect(parser.stepSeconds()).toEqual({});
  });

  it("shows no step again where BuildKit names those that it has kept in any order", () => {
    const parser = new BuildProgressParser({ dockerfile });
    const steps: number[] = [];
    const names = ["packages 10/12", "packages  2/12", "stage-1 5/7", "packages 12/12", "stage-1 2/7"];
    for (const [index, name] of names.entries()) {
      for (const text of [`[${name}] RUN x`, "CACHED"]) parser.read(`#${index + 6} ${text}`);
      steps.push(parser.progress().step);
    }
    expect(steps).toEqual(steps.toSorted((a, b) => a - b));
    expect(parser.progress().instruction).toBe("STOPSIGNAL SIGINT");
    expect(parser.stepSeconds()).toEqual({});
  });

  it("fetches the base image once, whatever stage BuildKit names it by", () => {
    let now = 0;
    const parser = new BuildProgressParser({ dockerfile, now: () => now });
    parser.read("#4 [stage-1 1/7] FROM docker.io/library/python:3.11-slim-bookworm@sha256:0123");
    now = 5_000;
    expect(parser.progress()).toMatchObject({ step: 2, title: "Fetching the base image" });
    parser.read("#4 DONE 5.0s");
    expect(Object.values(parser.stepSeconds())).toEqual([5]);
    parser.read("#5 [packages  2/12] RUN python3 -c x");
    expect(parser.progress()).toMatchObject({ step: 4 });
  });

  it("estimates how far a step is that had begun before it looked, by how long the build has run", () => {
    const history = replay("classic.tsv").parser.stepSeconds();
    const lines = fixture("classic.tsv")
      .trimEnd()
      .split("\n")
      .map((entry) => entry.split("\t", 2) as [string, string]);
    const begun = Number(lines.find(([, line]) => line.startsWith("Step 17/"))?.[0]);
    const took = Number(lines.find(([, line]) => line.startsWith("Step 18/"))?.[0]) - begun;
    const peek = (share: number) => {
      const ranForMs = (begun + took * share) * 1000;
      const parser = new BuildProgressParser({ dockerfile, history, now: () => 0, ranForMs });
      for (const [seconds, line] of lines) if (Number(seconds) <= begun) parser.read(line, false);
      return parser.progress();
    };
    const [first, second] = [peek(0.2), peek(0.8)];
    expect(second.percent).toBeGreaterThan(first.percent);
    expect((first.secondsLeft ?? 0) - (second.secondsLeft ?? 0)).toBeCloseTo(took * 0.6, 0);
    expect(second).toMatchObject({ step: 17 });
  });

  it("holds a step that takes longer than expected below its end", () => {
    let now = 0;
    const parser = new BuildProgressParser({ dockerfile, now: () => now });
    parser.read("Step 16/34 : RUN torch");
    const begun = parser.progress().percent;
    now += 3_600_000;
    const late = parser.progress().percent;
    expect(late).toBeGreaterThan(begun);
    parser.read("Step 17/34 : RUN rest");
    expect(parser.progress().percent).toBeGreaterThan(late);
  });
});

it("tells how far a build is whatever lines come, and never goes back", () => {
  const line = fc.oneof(
    fc.string(),
    fc.tuple(fc.nat(99), fc.nat(99), fc.string()).map(([step, of, text]) => `Step ${step}/${of} : ${text}`),
    fc
      .tuple(fc.nat(99), fc.constantFrom("packages", "stage-1", "other"), fc.nat(14), fc.nat(14))
      .map(([id, stage, step, of]) => `#${id} [${stage} ${step}/${of}] RUN pip`),
    fc.nat(99).map((id) => `#${id} exporting to image`),
    fc
      .tuple(fc.nat(99), fc.constantFrom("DONE 1.0s", "CACHED", "ERROR: no", "0.5 Collecting x"))
      .map(([id, rest]) => `#${id} ${rest}`),
    fc.constantFrom(" ---> Using cache", " ---> 0123456789ab", "Successfully built 0123456789ab"),
  );
  fc.assert(
    fc.property(fc.array(line, { maxLength: 60 }), (log) => {
      const parser = new BuildProgressParser({ dockerfile });
      let before = { percent: 0, step: 1 };
      for (const text of log) {
        parser.read(text);
        const { percent, step, steps } = parser.progress();
        expect(percent).toBeGreaterThanOrEqual(before.percent);
        expect(percent).toBeLessThanOrEqual(1);
        expect(step).toBeGreaterThanOrEqual(before.step);
        expect(step).toBeLessThanOrEqual(steps);
        before = { percent, step };
      }
    }),
  );
});
