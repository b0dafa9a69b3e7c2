import { spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";

/** Puts a command on a terminal of its own, whose keyboard and screen are stdin and stdout here. */
const TERMINAL = "import pty, sys; pty.spawn(sys.argv[1:])";

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

/** What the program prints last when these keys are pressed, one line of them after each question. */
async function press(call: string, ...keys: string[]): Promise<string> {
  const command = [process.execPath, "--import", "tsx", "--input-type=module", "--eval", program(call)];
  const child = spawn("python3", ["-c", TERMINAL, ...command], { stdio: ["pipe", "pipe", "inherit"] });
  let screen = "";
  let asked = 0;
  child.stdout.on("data", (data: Buffer) => {
    screen += data.toString();
    for (const questions = screen.match(/\[(Y\/n|y\/N|1)\]/g)?.length ?? 0; asked < questions; asked++) {
      child.stdin.write(keys[asked] ?? "");
    }
  });
  await once(child, "close");
  return screen.trim().split("\r\n").at(-1) ?? "";
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
