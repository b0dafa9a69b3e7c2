import { spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";

/** Puts a command on a terminal of its own, whose keyboard and screen are stdin and stdout here. */
const TERMINAL = "import pty, sys; pty.spawn(sys.argv[1:])";

const PROGRAM = `
  import { confirm } from "${resolve("src/cli/confirm.ts")}";
  const interruption = new AbortController();
  process.once("SIGINT", () => interruption.abort());
  confirm("Go on?", interruption.signal).then(
    (answer) => console.log("answer: " + answer),
    (error) => console.log("failure:", error.code),
  );
`;

/** What the program prints after these keys. */
async function press(keys: string): Promise<string> {
  const program = [process.execPath, "--import", "tsx", "--input-type=module", "--eval", PROGRAM];
  const child = spawn("python3", ["-c", TERMINAL, ...program], { stdio: ["pipe", "pipe", "inherit"] });
  let screen = "";
  child.stdout.on("data", (data: Buffer) => {
    if (!screen.includes("[Y/n]") && `${screen}${data}`.includes("[Y/n]")) child.stdin.write(keys);
    screen += data.toString();
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
  expect(await press(keys)).toBe(result);
});
