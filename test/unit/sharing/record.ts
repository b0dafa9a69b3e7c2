import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { openTestEngine, ROOT, torbiz } from "../../e2e/torbiz";
import { defaultModel } from "../../../src/lib/models";
import { starterFolder } from "../../../src/lib/starter-folder";

/**
 * Records the log of a real share of the starter model, from its start to its end: a question by `torbiz ask`, a session that
 * Petals refuses, as others hold all of its cache, and their client's end by SIGKILL. TORBIZ_INSTANCE and TORBIZ_HOME
 * choose whose share it is; PYTHON is that of the development environment.
 *
 *     node --import tsx test/unit/sharing/record.ts PYTHON
 */

/** Each takes an eighth of the attention cache. */
const SESSIONS = 9;

const [python = "python3"] = process.argv.slice(2);
const context = await openTestEngine();
const { names, paths } = context;

/** What the versions are of the programs whose lines are recorded. */
function header(): string {
  const docker = (...args: string[]) => execFileSync("docker", args, { encoding: "utf8" }).trim();
  const versions = `from importlib.metadata import version
print(", ".join(f"{name} {version(name)}" for name in ("petals", "hivemind", "torch")))`;
  const said = docker("run", "--rm", "--network", "none", "--entrypoint", "python", names.image, "-c", versions);
  const engine = docker("version", "--format", "{{.Server.Version}}");
  return `# Recorded ${new Date().toISOString().slice(0, 10)}: ${said}, Docker Engine ${engine}`;
}

async function holdSessions(address: string): Promise<void> {
  const script = join(ROOT, "python", "tests", "session_client.py");
  const model = join(starterFolder(paths), "petals");
  const client = spawn(python, [script, model, defaultModel.dhtPrefix, address, String(defaultModel.blocks)], {
    env: { ...process.env, PYTHONPATH: join(ROOT, "python"), PYTHONWARNINGS: "ignore" },
    stdio: ["pipe", "pipe", "inherit"],
    detached: true,
  });
  const answers = createInterface({ input: client.stdout })[Symbol.asyncIterator]();
  for (let session = 0; session < SESSIONS; session += 1) {
    for (const order of ["open", "step 4"]) {
      client.stdin.write(`${order}\n`);
      process.stdout.write(`${order}: ${String((await answers.next()).value)}\n`);
    }
  }
  process.kill(-Number(client.pid), "SIGKILL");
  // Petals hears of it by the end of the connection.
  await sleep(5_000);
}

const { last: share } = await torbiz(["share"]);
if (!share.ok) throw new Error(JSON.stringify(share));
const lines: string[] = [];
const following = spawn("docker", ["logs", "--follow", "--timestamps", names.container]);
for (const input of [following.stdout, following.stderr])
  createInterface({ input }).on("line", (line) => lines.push(line));
try {
  await torbiz(["ask", "--engine", "swarm", "--max-tokens", "8", "The capital of France is"]);
  const { last: status } = await torbiz(["status"]);
  const [address = ""] = status.addresses as string[];
  await holdSessions(address);
} finally {
  const ended = once(following, "close");
  await torbiz(["stop"]);
  await ended;
}
mkdirSync(join(import.meta.dirname, "fixtures"), { recursive: true });
// The two streams come one after the other; each line has the engine's time in front, always as long.
const timeOf = (line: string) => line.slice(0, line.indexOf(" "));
lines.sort((a, b) => (timeOf(a) < timeOf(b) ? -1 : Number(timeOf(a) > timeOf(b))));
writeFileSync(join(import.meta.dirname, "fixtures", "share.log"), `${[header(), ...lines].join("\n")}\n`);
