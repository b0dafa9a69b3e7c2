import { TorbizError, toTorbizError } from "../../src/lib/errors";
import { failureDetails, redactFailure } from "../../src/lib/failure-details";
import { redactor } from "../../src/lib/redact";

const redact = redactor({ env: { HF_TOKEN: "plain-secret-0" }, home: "/Users/ada" }, "ada");

test("the words of an unexpected failure are others': they are redacted, and the cause stays", () => {
  const cause = new Error("EIO: /Users/ada/x of https://a-token@hub.example with plain-secret-0");
  const shown = redactFailure(toTorbizError(cause), redact);
  expect(shown).toMatchObject({
    code: "unexpected",
    message: "EIO: ~/x of https://[login]@hub.example with [token]",
    hint: toTorbizError(cause).hint,
  });
  expect(shown.cause).toBe(cause);
});

test.each(["unexpected", "share-failed", "build-failed", "environment-failed", "setup-failed"] as const)(
  "so are a program's lines and Docker's words with %s, and nothing else of its facts",
  (code) => {
    const others = { lines: ["in /Users/ada/x", "plain-secret-0 of ada", 1], docker: "mount /Users/ada/x: denied" };
    const facts = { log: "/Users/ada/a.log", exitCode: 1 };
    const error = new TorbizError(code, "It ended.", { hint: "Look.", details: { ...others, ...facts } });
    const shown = redactFailure(error, redact);
    expect(shown).toMatchObject({ code, title: error.title, message: "It ended.", hint: "Look." });
    expect(shown.details).toEqual({
      ...{ lines: ["in ~/x", "[token] of [user]", "1"], docker: "mount ~/x: denied" },
      ...facts,
    });
    expect(error.details).toMatchObject(others);
  },
);

test("a failure that is known is told in our own words, as they are", () => {
  const error = new TorbizError("home-not-writable", "/Users/ada/.torbiz can't be written (EACCES).");
  expect(redactFailure(error, redact)).toBe(error);
  const details = { needed: "3.11", log: "/Users/ada/a.log" };
  const known = new TorbizError("python-missing", "There is none in /Users/ada.", { details });
  expect(redactFailure(known, redact)).toBe(known);
});

describe("the details of a failure", () => {
  it("are its code, its words and its causes, without secrets whatever the code is", () => {
    const first = new Error("the key x-api-key: abc");
    const error = new TorbizError("ask-failed", "No answer came to /Users/ada/x.", {
      hint: "Ask again.",
      cause: new Error("socket of ada", { cause: first }),
    });
    expect(failureDetails(error, redact).split("\n")).toEqual([
      `${error.title} (ask-failed)`,
      "No answer came to ~/x.",
      "Ask again.",
      "Caused by: socket of [user]",
      "Caused by: the key x-api-key: [token]",
    ]);
  });

  it("end where causes go round, and take whatever was thrown", () => {
    const round: { message: string; cause?: unknown } = { message: "round" };
    round.cause = round;
    const error = new TorbizError("unexpected", "x", { cause: round });
    expect(failureDetails(error, redact).match(/Caused by: round/g)).toHaveLength(8);
    expect(failureDetails(toTorbizError("thrown"), redact)).toContain("Caused by: thrown");
  });
});
