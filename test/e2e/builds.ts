import { readFileSync } from "node:fs";
import { join } from "node:path";
import { planBuild } from "../../src/lib/docker/build/plan";
import { openTestEngine, ROOT, start, torbiz, type Ended } from "./torbiz";
import { leftBehind } from "./left-behind";
import type { StandIn } from "./stand-in";

/** What tests of builds share, whichever builder it is: it is chosen by the variables of the docker command. */

/** The line of a log by which a builder is known: of the classic one for DOCKER_BUILDKIT=0, of BuildKit for 1. */
const BEGINNINGS: Record<string, RegExp> = {
  "0": /^Step 1\/\d+ : /m,
  "1": /^#\d+ \[internal\] load build definition /m,
};

/** The same for these variables; without DOCKER_BUILDKIT the docker command chooses, and the script's own line has to do. */
export function beginningOf({ DOCKER_BUILDKIT = "" }: NodeJS.ProcessEnv): RegExp {
  return BEGINNINGS[DOCKER_BUILDKIT] ?? /^torbiz: step image$/m;
}

/** In milliseconds: by then a command has said that the engine is gone, or has given up waiting for an answer. */
export const GIVE_UP_MS = 30_000;

/** The number of the step that asks the base image's Python for its version. */
const PYTHON_STEP =
  planBuild(readFileSync(join(ROOT, "docker", "Dockerfile.macos"), "utf8")).findIndex(({ instruction }) =>
    instruction.startsWith("RUN python3 "),
  ) + 1;

/** One line of what happened, what to do, and no trace of a crash. */
export function expectPlain({ code, last, stderr }: Ended, errorCode: string): void {
  expect(last).toMatchObject({ ok: false, code: errorCode, message: expect.stringMatching(/^[A-Z][^\n]+$/) });
  expect(last.hint).toMatch(/\S/);
  expect(code).toBe(1);
  expect(stderr).not.toMatch(/\bat .+:\d+:\d+|UnhandledPromise/);
}

/** A build that suffers in its middle, on an engine of its own: at the base image's Python, which it asks first. */
export class SufferingBuild {
  private readonly env: NodeJS.ProcessEnv;

  /** @param builder the docker command's variables */
  constructor(
    private readonly standIn: StandIn,
    builder: NodeJS.ProcessEnv = {},
  ) {
    const own = {
      TORBIZ_INSTANCE: `${standIn.env.TORBIZ_INSTANCE}-build`,
      TORBIZ_BASE_IMAGE: "torbiz-suffering-base:test",
    };
    this.env = { ...standIn.env, ...own, ...builder };
  }

  /** Kills the engine in the middle, and starts it again. @param meanwhile while it is gone */
  async killEngine(meanwhile: () => void = () => undefined): Promise<void> {
    const { engine } = this.standIn;
    // As real steps do it says something: one of BuildKit's outlives its engine, until nobody reads that.
    try {
      await this.begin("while echo waiting; do sleep 1; done", "docker-not-running", () => engine.kill());
      meanwhile();
    } finally {
      // Whatever came of it, the next test finds an engine. One that was killed already stays so.
      await engine.kill();
      engine.start();
      await engine.ready();
    }
    expect((await torbiz(["status"], { env: this.env })).last).toMatchObject({
      state: "absent",
      lastBuild: { outcome: "failed" },
    });
  }

  /** Fills the disk in the middle, while a step writes; there is room again in the end. */
  async fillDisk(): Promise<void> {
    const { engine } = this.standIn;
    const write = "while dd if=/dev/zero bs=64k count=1 >>/written; do sleep 0.2; done; exit 1";
    try {
      const { last } = await this.begin(write, "disk-full", () => engine.fillDisk());
      expect(last.hint).toContain("docker system df");
      // So it is also told when it can't even begin.
      expectPlain(await this.build(), "disk-full");
    } finally {
      engine.freeDisk();
    }
  }

  /** Nothing of it is left, and the next one goes as far as its Python lets it. */
  async expectNext(): Promise<void> {
    expect(await leftBehind(await openTestEngine(this.env))).toEqual([]);
    await this.pythonThat("exit 9");
    const next = await this.build();
    expectPlain(next, "build-failed");
    expect(next.last.message).toMatch(/^RUN python3 .* exit code 9$/);
  }

  /** Begins a build and does something to it when it has come to its Python. */
  private async begin(python: string, errorCode: string, suffer: () => Promise<void> | void): Promise<Ended> {
    await this.pythonThat(python);
    const building = start(["build"], { env: this.env });
    await building.waitFor(({ message }) => String(message).includes(`, step ${PYTHON_STEP} of `));
    await suffer();
    const suffered = performance.now();
    const ended = await building.ended;
    expect(performance.now() - suffered).toBeLessThan(GIVE_UP_MS);
    expectPlain(ended, errorCode);
    const { log } = ended.last.details as { log: string };
    expect(readFileSync(log, "utf8")).toMatch(beginningOf({ ...process.env, ...this.env }));
    return ended;
  }

  private build(): Promise<Ended> {
    return torbiz(["build"], { env: this.env });
  }

  private pythonThat(does: string): Promise<void> {
    const python = `RUN printf '#!/bin/sh\\n${does}' >/usr/local/bin/python3 && chmod +x /usr/local/bin/python3`;
    return this.standIn.makeImage(String(this.env.TORBIZ_BASE_IMAGE), [python]);
  }
}
