import fc from "fast-check";
import { toBuildError } from "../../../src/lib/docker/build/failure";
import { BUILDERS, fixture } from "./recording";

const fail = (name: string) => toBuildError(fixture(name).trimEnd().split("\n"), "/logs/build.log");

describe("toBuildError", () => {
  it.each(BUILDERS)("names the step and pip's reason (%s)", (builder) => {
    const error = fail(`pip-failed-${builder}.log`);
    expect(error.code).toBe("build-failed");
    expect(error.message).toBe(
      "RUN pip install --no-deps --require-hashes -r /requirements/build.txt failed: No matching distribution found for wheel==0.47.99",
    );
    expect(error.hint).toContain("/logs/build.log");
    expect(error.details?.step).toContain("requirements/build.txt");
    expect((error.details?.lines as string[]).length).toBeLessThanOrEqual(20);
    expect(error.details?.lines).toEqual(expect.arrayContaining([expect.stringContaining("wheel==0.47.99")]));
  });

  it.each(BUILDERS)("names the base image that can't be had (%s)", (builder) => {
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
    expect(of("Sending build context to Docker daemon  1.2MB", "unexpected EOF")).toBe("docker-not-running");
    expect(of("ImportError: cannot import name 'x'", "torbiz: failed step=check")).toBe("image-check-failed");
  });

  it("doesn't take a download that was cut for an engine that has gone", () => {
    const of = (...lines: string[]) => toBuildError(lines, "/logs/build.log").code;
    const pulled = 'Get "https://registry.example/v2/": unexpected EOF';
    expect(of(pulled, "Failed at: Step 2/34 : FROM ${BASE_IMAGE} AS packages")).toBe("base-image-unavailable");
    const pip = ["ERROR: Could not fetch it: unexpected EOF", "The command 'pip' returned a non-zero code: 1"];
    expect(of(...pip, "Failed at: Step 11/34 : RUN pip")).toBe("build-failed");
  });

  it.each(["", "\u001b[91m", "#8 0.312 "])("tells how much room there is and how much it takes (%s)", (prefix) => {
    const { code, message } = toBuildError(
      [
        `${prefix}torbiz: error the disk of Docker has 0.9 GB free, and the image takes 2.5 GB more`,
        'ERROR: failed to solve: process "/bin/sh -c python3 -c ..." did not complete successfully: exit code: 1',
        "torbiz: failed step=image",
      ],
      "/logs/build.log",
    );
    expect(code).toBe("disk-full");
    expect(message).toBe("Docker's disk has 0.9 GB free, and building the image takes 2.5 GB more.");
  });

  it.each([
    [
      "BuildKit",
      [
        "#22 [stage-1 7/8] RUN other",
        "#23 [stage-1 8/8] RUN echo the wheels have come off >&2; exit 7",
        "#23 0.154 the wheels have come off",
        "#22 0.160 something else",
        '#23 ERROR: process "/bin/sh -c echo ..." did not complete successfully: exit code: 7',
        "------",
        " > [stage-1 8/8] RUN echo the wheels have come off >&2; exit 7:",
        "0.154 the wheels have come off",
        "------",
        'ERROR: failed to solve: process "/bin/sh -c echo ..." did not complete successfully: exit code: 7',
      ],
    ],
    [
      "the classic builder",
      [
        "Step 33/34 : RUN echo the wheels have come off >&2; exit 7",
        " ---> Running in ed7eddd5cda7",
        "\u001b[91mthe wheels have come off",
        "\u001b[0mRemoving intermediate container ed7eddd5cda7",
        "The command '/bin/sh -c echo ...' returned a non-zero code: 7",
      ],
    ],
  ])("takes what the failing step said last for the reason (%s)", (_, lines) => {
    expect(toBuildError([...lines, "torbiz: failed step=image"], "/logs/build.log").message).toBe(
      "The build failed: the wheels have come off",
    );
  });

  it("says how a step ended that said nothing", () => {
    const of = (...lines: string[]) => toBuildError([...lines, "torbiz: failed step=image"], "/logs/build.log").message;
    const running = [" ---> Running in ed7eddd5cda7", "Removing intermediate container ed7eddd5cda7"];
    const classic = [...running, "The command '/bin/sh -c exit 7' returned a non-zero code: 7"];
    expect(of(...classic, "Failed at: Step 33/34 : RUN exit 7")).toBe("RUN exit 7 failed: it ended with exit code 7");
    const words = 'process "/bin/sh -c exit 7" did not complete successfully: exit code: 7';
    const buildKit = [`#23 ERROR: ${words}`, `ERROR: failed to solve: ${words}`];
    expect(of(...buildKit, "Failed at: [stage-1  8/8] RUN exit 7")).toBe(
      "RUN exit 7 failed: it ended with exit code 7",
    );
  });

  it("knows the reason where Docker Desktop says last where else to look", () => {
    const words = 'process "/bin/sh -c exit 7" did not complete successfully: exit code: 7';
    const lines = [`#23 ERROR: ${words}`, `ERROR: failed to solve: ${words}`, ""];
    const desktop = "View build details: docker-desktop://dashboard/build/default/default/abc";
    const end = ["Failed at: [stage-1  8/8] RUN exit 7", "torbiz: failed step=image"];
    const error = toBuildError([...lines, desktop, ...end], "/logs/build.log");
    expect(error.message).toBe("RUN exit 7 failed: it ended with exit code 7");
    expect(error.details?.lines).not.toContain(desktop);
    // So also with another note than that.
    const other = toBuildError([...lines, "What's next: something", ...end], "/logs/build.log");
    expect(other.message).toBe(error.message);
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

  it("makes an error of whatever lines a log has", () => {
    const line = fc.oneof(
      fc.string(),
      fc.constantFrom("ERROR: ", "#1 ERROR: x", "#1 0.1 y", " ---> Running in 0", "Failed at: [a] FROM b"),
      fc.constantFrom("The command 'x' returned a non-zero code: 1", "torbiz: error the disk of Docker has GB free"),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 30 }), (lines) => {
        expect(toBuildError(lines, "/logs/build.log").message).not.toBe("");
      }),
    );
  });
});
