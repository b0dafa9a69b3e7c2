import { jsonOutput, textOutput } from "../../../src/cli/output";
import { TorbizError } from "../../../src/lib/errors";

function sink(isTTY = false) {
  const written: string[] = [];
  return { isTTY, written, write: (text: string) => written.push(text) > 0 } as unknown as NodeJS.WriteStream & {
    written: string[];
  };
}

test("for scripts every event is one JSON object on a line", () => {
  const stdout = sink();
  const output = jsonOutput(stdout);
  output.progress({ stage: "building", message: "Step 1", progress: 0.5 });
  output.delta("a\nb");
  output.log({ time: "2026-01-31T12:00:00.000Z", stream: "stderr", text: "line" });
  output.error(new TorbizError("port-in-use", "Port 1 is used.", { hint: "Use 2." }));
  output.result({ answer: "x" }, "for people");
  expect(stdout.written.map((line) => JSON.parse(line) as unknown)).toEqual([
    { event: "stage", stage: "building", message: "Step 1", progress: 0.5 },
    { event: "delta", text: "a\nb" },
    { event: "log", time: "2026-01-31T12:00:00.000Z", stream: "stderr", text: "line" },
    {
      event: "error",
      ok: false,
      code: "port-in-use",
      title: "The port is in use",
      message: "Port 1 is used.",
      hint: "Use 2.",
    },
    { event: "result", ok: true, answer: "x" },
  ]);
  expect(stdout.written.every((line) => line.endsWith("\n") && line.indexOf("\n") === line.length - 1)).toBe(true);
});

test("for people only answers and results go to stdout", () => {
  const stdout = sink();
  const stderr = sink();
  const output = textOutput(stdout, stderr);
  output.progress({ stage: "building", message: "Building", progress: null });
  output.note("Found something");
  output.delta("The answer");
  output.done("answered", "4 tokens");
  output.result({}, "Result");
  expect(stdout.written.join("")).toBe("The answer\nResult\n");
  expect(stderr.written.join("")).toBe("Building\nNote: Found something\n4 tokens\n");
});

test("what a model writes can't steer a terminal, and reaches a file as it is", () => {
  const text = "a\x1b]0;title\x07b\x9b2J\r\n\tc\u202e";
  for (const [stdout, seen] of [
    [sink(true), "a]0;titleb2J\n\tc\u202e\n"],
    [sink(), `${text}\n`],
  ] as const) {
    const output = textOutput(stdout, sink());
    output.delta(text);
    output.result({}, "");
    expect(stdout.written.join("")).toBe(seen);
  }
});

test("what servers, programs and logs say can't steer a terminal either, and reaches a file as it is", () => {
  const text = "a\x1b[2J\x07b\x9b2J\r\tc";
  for (const [stdout, stderr, said] of [
    [sink(true), sink(true), "a[2Jb2J\tc"],
    [sink(), sink(), text],
  ] as const) {
    const output = textOutput(stdout, stderr);
    output.progress({ stage: "s", message: text, progress: null });
    output.done("s", text);
    output.note(text);
    output.log({ time: "2026-01-31T12:00:00.000Z", stream: "stdout", text });
    output.error(new TorbizError("unexpected", text, { hint: text, cliHint: text, details: { lines: [text] } }));
    const failure = `Something unexpected went wrong\n  ${said}\n  | ${said}\n  ${said} ${said}\n`;
    expect(stdout.written.join("")).toBe(`${said}\n`);
    expect(stderr.written.join("")).toBe(`${said}\n${said}\nNote: ${said}\n${failure}`);
  }
});

test("a plain log repeats a step only when it has come much further", () => {
  const stderr = sink();
  const output = textOutput(sink(), stderr);
  for (const progress of [0, 0.01, 0.05, 0.12, 0.13, 0.5])
    output.progress({ stage: "s", message: "Loading", progress });
  expect(stderr.written).toEqual(["Loading (0 %)\n", "Loading (12 %)\n", "Loading (50 %)\n"]);
});

test("what to type is added to the hint, for people and for scripts", () => {
  const error = new TorbizError("port-in-use", "Port 1 is used.", {
    hint: "Port 2 is free.",
    cliHint: "Use --port 2.",
  });
  const stdout = sink();
  const stderr = sink();
  jsonOutput(stdout).error(error);
  textOutput(sink(), stderr).error(error);
  expect(JSON.parse(stdout.written.join(""))).toMatchObject({ hint: "Port 2 is free. Use --port 2." });
  expect(stderr.written.join("")).toContain("  Port 2 is free. Use --port 2.\n");
});

test("an error is told as what happened and what to do, without a stack", () => {
  const stderr = sink();
  textOutput(sink(), stderr).error(new TorbizError("model-unknown", "No model x.", { hint: "Choose y." }));
  expect(stderr.written.join("")).toBe("Unknown model\n  No model x.\n  Choose y.\n");
});
