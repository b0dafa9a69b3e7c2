import { findFailedStep } from "../../../src/lib/docker/build/failed-step";
import { toBuildError } from "../../../src/lib/docker/build/failure";
import { ROOT } from "../../e2e/torbiz";
import { fixture } from "./recording";

const named = (name: string) => String(toBuildError(fixture(name).trimEnd().split("\n"), "/log").details?.step);

describe("findFailedStep", () => {
  it.each(["classic", "buildkit"])(
    "counts through the whole Dockerfile, and gives the step its title (%s)",
    (builder) => {
      expect(findFailedStep(named(`pip-failed-${builder}.log`), ROOT)?.title).toBe("Installing build tools");
    },
  );

  it("has the instruction where there is no title", () => {
    expect(findFailedStep("Step 1/32 : ARG BASE_IMAGE", ROOT)).toMatchObject({ step: 1, title: /^ARG / });
  });

  it("knows nothing of what isn't in the Dockerfile", () => {
    expect(findFailedStep("[internal] load metadata for docker.io/library/python", ROOT)).toBeUndefined();
    expect(findFailedStep("Step 99/99 : RUN true", ROOT)).toBeUndefined();
  });
});
