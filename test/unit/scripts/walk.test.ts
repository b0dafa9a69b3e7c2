import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { walk, walkCommand } from "../../e2e/walk/walk";
import { healthy, scriptedEngine } from "../docker/scripted-engine";

test("a walk that comes to a bad end tells the command for the same walk", async () => {
  const home = mkdtempSync(join(tmpdir(), "torbiz-walk-"));
  // It has no containers to tell of: not even that there are none.
  const engine = await scriptedEngine(healthy());
  try {
    const env = { TORBIZ_HOME: home, DOCKER_HOST: engine.endpoint.url };
    const again = /bad end: .*\nAgain: npm run walk -- --steps 0 --seed 28 --real\n +\d+\.\d\d 1: stop\n/;
    await expect(walk({ seed: 28, steps: 0, env })).rejects.toThrow(again);
  } finally {
    await engine.close();
    rmSync(home, { recursive: true });
  }
  expect(walkCommand({ seed: 7, steps: 25, isReal: false })).toBe("npm run walk -- --steps 25 --seed 7");
});
