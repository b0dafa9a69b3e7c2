import { PassThrough } from "node:stream";
import { readQuestion } from "../../../src/cli/question";
import { stdinWith } from "./session";

const terminal = () => stdinWith();

function read(given: string | undefined, stdin = terminal(), signal = new AbortController().signal) {
  return readQuestion(given, { stdin, signal, onWait: () => undefined });
}

test.each([
  ["a question", " Why?\n", terminal(), "Why?"],
  ["a question with its context", "Why?", stdinWith("\n\n  indented\n", "line\n\n"), "Why?\n\n  indented\nline"],
  ["a question and a closed stdin", "Why?", stdinWith(" \n"), "Why?"],
  ["what is piped in", undefined, stdinWith("Why?\n"), "Why?"],
  ["what is piped in for -", "-", stdinWith("Wh", "y?\n"), "Why?"],
  ["characters that are cut", "-", stdinWith(Buffer.from([0xe2, 0x82]), Buffer.from([0xac])), "€"],
  ["nothing at a terminal", undefined, terminal(), undefined],
  ["nothing that is piped in", undefined, stdinWith("\n"), undefined],
])("%s", async (_what, given, stdin, question) => {
  expect(await read(given, stdin)).toBe(question);
});

test.each([
  ["a blank question", "  ", stdinWith("context"), "prompt-empty"],
  ["an empty -", "-", stdinWith(" \n"), "prompt-empty"],
  ["no text", "Why?", stdinWith(Buffer.from([0x50, 0xff, 0x00])), "usage"],
  ["a flood", "Why?", stdinWith(...Array.from({ length: 17 }, () => "x".repeat(64 * 1024))), "prompt-too-long"],
])("%s is refused", async (_what, given, stdin, code) => {
  await expect(read(given, stdin)).rejects.toMatchObject({ code });
});

test("waiting for others to write ends with Ctrl-C", async () => {
  const interruption = new AbortController();
  const reading = read("-", new PassThrough(), interruption.signal);
  interruption.abort();
  await expect(reading).rejects.toMatchObject({ name: "AbortError" });
});
