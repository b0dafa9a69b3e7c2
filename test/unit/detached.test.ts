import { setTimeout as sleep } from "node:timers/promises";
import { startDetached } from "../../src/lib/detached";
import { isAlive } from "../../src/lib/is-alive";

const env = { PATH: process.env.PATH };

async function untilSaid(program: { said(): string }, words: string | RegExp): Promise<string> {
  while (!program.said().match(words)) await sleep(20);
  return program.said();
}

describe("startDetached", () => {
  it("starts what is nobody's child, leads its own group and can be interrupted", async () => {
    const script = `trap 'echo got it >&2; exit' INT; ps -o ppid=,pgid= -p $$ | tr -s ' ' >&2; while :; do sleep 0.1; done`;
    const program = await startDetached("bash", ["-c", script], env);
    const [parent, group] = (await untilSaid(program, /\d+ \d+\n/)).trim().split(" ").map(Number);
    expect(parent).not.toBe(process.pid);
    expect(group).toBe(program.pid);
    process.kill(program.pid, "SIGINT");
    await untilSaid(program, "got it\n");
    while (isAlive(program.pid)) await sleep(20);
    program.close();
  });

  it("passes arguments on as they are, and nothing of our environment", async () => {
    const script = 'printf "%s|" "$@" >&2; env >&2';
    const program = await startDetached("bash", ["-c", script, "bash", "a b", "$HOME", "'\""], { ...env, ONE: "1" });
    const said = await untilSaid(program, "ONE=1\n");
    expect(said).toMatch(/^a b\|\$HOME\|'"\|/);
    expect(said).not.toContain("HOME=");
    program.close();
  });

  it("gives it what it is to read, and no more", async () => {
    const program = await startDetached("sh", ["-c", "cat >&2; echo . >&2"], env, "a secret\n");
    expect(await untilSaid(program, ".\n")).toBe("a secret\n.\n");
    program.close();
  });

  it("tells a missing program by what is said", async () => {
    const program = await startDetached("no-such-program", [], env);
    expect(await untilSaid(program, "not found")).toContain("no-such-program");
    program.close();
  });

  it("fails where there is no shell to start it with", async () => {
    await expect(startDetached("true", [], { PATH: "/no/such/folder" })).rejects.toMatchObject({ code: "unexpected" });
  });
});
