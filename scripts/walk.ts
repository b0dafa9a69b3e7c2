import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { SecondEngine } from "../test/e2e/second-engine";
import { StandIn } from "../test/e2e/stand-in";
import { openTestEngine, torbiz } from "../test/e2e/torbiz";
import { walk, walkCommand } from "../test/e2e/walk/walk";

/**
 * A random walk over all that can be done to a share: `npm run walk -- --steps 500 --seed 7`, as root on Linux. It has an
 * engine of its own, which it also kills and freezes, and a stand-in for the seeder; `--real` takes the real seeder on this
 * machine's engine, which is left in peace. A bad end names the command that walks the same way again.
 */

const INSTANCE = "walk";

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { steps: { type: "string" }, seed: { type: "string" }, real: { type: "boolean" } },
  });
  const seed = Number(values.seed ?? Math.floor(Math.random() * 1e9));
  const steps = Number(values.steps ?? 100);
  const onStep = (line: string) => console.log(line);
  console.log(walkCommand({ seed, steps, isReal: values.real === true }));
  if (values.real) {
    const env = { TORBIZ_INSTANCE: INSTANCE };
    for (const args of [["build"], ["share"]]) {
      const { code, last } = await torbiz(args, { env });
      if (code !== 0) throw new Error(JSON.stringify(last));
    }
    return walk({ seed, steps, env, onStep });
  }
  const folder = mkdtempSync(join(tmpdir(), "torbiz-walk-"));
  const engine = new SecondEngine();
  try {
    const { env } = await StandIn.open(engine, folder, INSTANCE);
    await openTestEngine(env);
    await walk({ seed, steps, env, engine, onStep });
  } finally {
    await engine.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
