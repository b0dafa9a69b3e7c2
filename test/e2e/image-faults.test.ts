import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SufferingBuild } from "./builds";
import { SecondEngine } from "./second-engine";
import { StandIn } from "./stand-in";

/** To BuildKit's builds what engine-faults.test.ts does to those of the classic builder. */

const folder = mkdtempSync(join(tmpdir(), "torbiz-image-faults-"));
const engine = new SecondEngine(1_200);
let build: SufferingBuild;

beforeAll(async () => {
  build = new SufferingBuild(await StandIn.open(engine, folder, "image-faults"), { DOCKER_BUILDKIT: "1" });
});

afterAll(async () => {
  await engine.remove();
  rmSync(folder, { recursive: true, force: true });
});

test("an engine that is killed in the middle of BuildKit's build is told of at once, and the next build begins", async () => {
  await build.killEngine();
  await build.expectNext();
});

test("a disk that gets full in the middle of BuildKit's build is named, and the next build goes on", async () => {
  await build.fillDisk();
  await build.expectNext();
});
