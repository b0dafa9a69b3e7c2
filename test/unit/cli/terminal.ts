import { spawn } from "node:child_process";
import { once } from "node:events";

/** Puts a command on a terminal of its own, whose keyboard and screen are stdin and stdout here. */
const TERMINAL = "import pty, sys; pty.spawn(sys.argv[1:])";

/**
 * Runs a command at a terminal.
 *
 * @param keys what is pressed at each of its questions
 * @returns what the screen shows in the end
 */
export async function atTerminal(
  command: readonly string[],
  keys: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<string> {
  const child = spawn("python3", ["-c", TERMINAL, ...command], { env, stdio: ["pipe", "pipe", "inherit"] });
  let screen = "";
  let asked = 0;
  child.stdout.on("data", (data: Buffer) => {
    screen += data.toString();
    for (const questions = screen.match(/\[(Y\/n|y\/N|1|none)\]/g)?.length ?? 0; asked < questions; asked++) {
      child.stdin.write(keys[asked] ?? "");
    }
  });
  await once(child, "close");
  return screen;
}
