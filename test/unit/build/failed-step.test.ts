import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findFailedStep } from "../../../src/lib/docker/build/failed-step";
import { toBuildError } from "../../../src/lib/docker/build/failure";
import { ROOT } from "../../e2e/torbiz";
import { BUILDERS, fixture } from "./recording";

const named = (name: string) => String(toBuildError(fixture(name).trimEnd().split("\n"), "/log").details?.step);

/** Runtime files as they were when the logs were recorded. */
let recorded: string;

beforeAll(() => {
  recorded = mkdtempSync(join(tmpdir(), "torbiz-recorded-"));
  mkdirSync(join(recorded, "docker"));
  writeFileSync(join(recorded, "docker", "Dockerfile.macos"), fixture("Dockerfile.recorded"));
});
afterAll(() => rmSync(recorded, { recursive: true }));

describe("findFailedStep", () => {
  it.each(BUILDERS)("counts through the whole Dockerfile, and gives the step its title (%s)", (builder) => {
    expect(findFailedStep(named(`pip-failed-${builder}.log`), recorded)?.title).toBe("Installing build tools");
  });

  it("has the instruction where there is no title", () => {
    expect(findFailedStep("Step 1/34 : ARG BASE_IMAGE", ROOT)).toMatchObject({ step: 1, title: /^ARG / });
  });

  it("knows nothing of what isn't in the Dockerfile", () => {
    expect(findFailedStep("[internal] load metadata for docker.io/library/python", ROOT)).toBeUndefined();
    expect(findFailedStep("Step 99/99 : RUN true", ROOT)).toBeUndefined();
  });
});
