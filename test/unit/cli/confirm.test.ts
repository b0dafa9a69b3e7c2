import { resolve } from "node:path";
import { atTerminal } from "./terminal";

/** @param call of a function of src/cli that asks something */
const program = (call: string) => `
  import { choose } from "${resolve("src/cli/choose.ts")}";
  import { confirm } from "${resolve("src/cli/confirm.ts")}";
  const interruption = new AbortController();
  const { signal } = interruption;
  process.once("SIGINT", () => interruption.abort());
  ${call}.then(
    (answer) => console.log("answer: " + answer),
    (error) => console.log("failure:", error.code),
  );
`;

/** What the screen shows in the end when these keys are pressed, one line of them after each question. */
function screen(call: string, ...keys: string[]): Promise<string> {
  return atTerminal([process.execPath, "--import", "tsx", "--input-type=module", "--eval", program(call)], keys);
}

/** What the program prints last. */
async function press(call: string, ...keys: string[]): Promise<string> {
  return (await screen(call, ...keys)).trim().split("\r\n").at(-1) ?? "";
}

it.each([
  ["Enter", "\r", "answer: true"],
  ["y", "y\r", "answer: true"],
  ["n", "n\r", "answer: false"],
  ["Ctrl-D", "\x04", "answer: false"],
  ["Ctrl-C", "\x03", "failure: interrupted"],
])("%s", async (_, keys, result) => {
  expect(await press('confirm("Go on?", signal)', keys)).toBe(result);
});

it.each([
  ["Enter", "\r", "answer: false"],
  ["YES", "YES\r", "answer: true"],
])("%s where Enter is no", async (_, keys, result) => {
  expect(await press('confirm("Delete it?", signal, "no")', keys)).toBe(result);
});

it.each([
  ["Enter takes the first", ["\r"], "answer: a"],
  ["a number takes its own, after one that isn't there", ["3\r", "no\r", "2\r"], "answer: b"],
  ["Ctrl-D takes none", ["\x04"], "failure: interrupted"],
])("%s", async (_, keys, result) => {
  expect(await press('choose("Which?", ["a", "b"], (thing) => thing, signal)', ...keys)).toBe(result);
});

it.each([
  ["a question", 'confirm("Delete \\x1b[2Ja title?", signal)'],
  ["a choice", 'choose("Which?", [1], () => "\\x1b[2Ja title", signal)'],
])("%s can't steer the terminal by a title that it names", async (_, call) => {
  const shown = await screen(call, "\r");
  expect(shown).toContain("[2Ja title");
  expect(shown).not.toContain("\x1b[2J");
});
