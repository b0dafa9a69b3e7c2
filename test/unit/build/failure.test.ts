import { toBuildError } from "../../../src/lib/docker/build/failure";
import { fixture } from "./recording";

const fail = (name: string) => toBuildError(fixture(name).trimEnd().split("\n"), "/logs/build.log");

describe("toBuildError", () => {
  it.each(["classic", "buildkit"])("names the step and pip's reason (%s)", (builder) => {
    const error = fail(`pip-failed-${builder}.log`);
    expect(error.code).toBe("build-failed");
    expect(error.message).toContain("RUN pip install --no-deps --require-hashes -r /requirements/build.txt failed");
    expect(error.message).toContain("No matching distribution found for wheel==0.47.99");
    expect(error.hint).toContain("/logs/build.log");
    expect(error.details?.step).toContain("requirements/build.txt");
    expect((error.details?.lines as string[]).length).toBeLessThanOrEqual(20);
    expect(error.details?.lines).toEqual(expect.arrayContaining([expect.stringContaining("wheel==0.47.99")]));
  });

  it.each(["classic", "buildkit"])("names the base image that can't be had (%s)", (builder) => {
    const error = fail(`base-missing-${builder}.log`);
    expect(error.code).toBe("base-image-unavailable");
    expect(error.message).toBe(
      "python:3.11-slim-bookworm can't be downloaded: its registry's name can't be looked up.",
    );
    expect(String(error.details?.lines)).toContain("no such host");
  });

  it.each([
    ["dial tcp [::1]:1: connect: connection refused", /registry doesn't answer\.$/],
    ["net/http: request canceled (Client.Timeout exceeded while awaiting headers)", /registry doesn't answer\.$/],
    ["toomanyrequests: You have reached your pull rate limit.", /lets no more be downloaded for now\.$/],
    ["x509: certificate signed by unknown authority", /certificate isn't trusted\.$/],
    ["pull access denied for nobody/none, repository does not exist", /registry doesn't have it\.$/],
    ["something new", /something new$/],
  ])("says in words why the base image can't be had: %s", (said, words) => {
    const { code, message } = toBuildError(
      ["torbiz: build pid=1 tag=t base=b:1 inputs=0", said, "Failed at: Step 1/30 : FROM ${BASE_IMAGE}"],
      "/logs/build.log",
    );
    expect({ code, message }).toEqual({ code: "base-image-unavailable", message: expect.stringMatching(words) });
  });

  it("knows a full disk, an engine that has gone, and an image that doesn't work", () => {
    const of = (...lines: string[]) => toBuildError(lines, "/logs/build.log").code;
    expect(
      of("Error processing tar file(exit status 1): write /x: no space left on device", "torbiz: failed step=image"),
    ).toBe("disk-full");
    expect(of("Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?")).toBe(
      "docker-not-running",
    );
    expect(of("ImportError: cannot import name 'x'", "torbiz: failed step=check")).toBe("image-check-failed");
  });

  it("prefers our own words for the reason", () => {
    const error = toBuildError(
      [
        "torbiz: error the base image has Python 3.12, and 3.11 is needed",
        "The command '/bin/sh -c python3 ...' returned a non-zero code: 1",
        "Failed at: Step 3/30 : RUN python3 -c ...",
        "torbiz: failed step=image",
      ],
      "/logs/build.log",
    );
    expect(error.message).toContain("the base image has Python 3.12");
  });

  it("names no step where none had begun", () => {
    const lines = [
      "ERROR: BuildKit is enabled but there is no buildx",
      "Failed at: the start",
      "torbiz: failed step=image",
    ];
    const error = toBuildError(lines, "/logs/build.log");
    expect(error.message).toBe("The build failed: BuildKit is enabled but there is no buildx");
    expect(error.details).not.toHaveProperty("step");
  });

  it("says so when there is nothing to say", () => {
    expect(toBuildError([], "/logs/build.log").message).toBe("The build failed: it said nothing");
  });
});
