import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SecondEngine } from "./second-engine";
import { StandIn } from "./stand-in";
import { openTestBed, torbiz } from "./torbiz";
import { walk, walkCommand } from "./walk/walk";

/** Short walks; `npm run walk` takes long ones. Each run goes its own way, and first names the command for the same one. */

const seed = Math.floor(Math.random() * 1e9);
const steps = 25;

/** Told at once: of a walk that is ended by its time limit nothing else is heard. */
function tell(isReal: boolean): void {
  process.stdout.write(`${walkCommand({ seed, steps, isReal })}\n`);
}

test("25 random steps with the real seeder end as was wanted last, with nothing left over", async () => {
  tell(true);
  await openTestBed();
  for (const command of ["build", "share"]) expect((await torbiz([command])).last).toMatchObject({ ok: true });
  await walk({ seed, steps, env: {} });
});

test("25 random steps on an engine that is also killed and frozen, with a stand-in for the seeder", async () => {
  tell(false);
  const folder = mkdtempSync(join(tmpdir(), "torbiz-walk-"));
  const engine = new SecondEngine();
  try {
    const { env } = await StandIn.open(engine, folder, "walk");
    await walk({ seed, steps, env, engine });
  } finally {
    await engine.remove();
    rmSync(folder, { recursive: true, force: true });
  }
});
