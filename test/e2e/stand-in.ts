import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CONTRACT } from "../../src/lib/docker/build/state";
import { LABELS, resolveNames } from "../../src/lib/names";
import { starterFolder } from "../../src/lib/starter-folder";
import type { SecondEngine } from "./second-engine";

import { exec, ROOT } from "./torbiz";

/** What a seeder can suffer from. */
export type Mood = "deaf" | "hungry" | "broken";

/** What the image of a share is built on. */
export const BASE = process.env.TORBIZ_BASE_IMAGE || "torbiz-base:bookworm";

/**
 * An engine of its own with a share's image in which `stand_in_seeder.py` is the seeder, and a home folder with a model: what
 * happens around a share happens for real, and in seconds.
 */
export class StandIn {
  readonly env: NodeJS.ProcessEnv;

  private constructor(
    readonly engine: SecondEngine,
    folder: string,
    instance: string,
  ) {
    this.env = {
      DOCKER_HOST: `unix://${engine.socket}`,
      TORBIZ_INSTANCE: instance,
      TORBIZ_HOME: join(folder, "home"),
      TORBIZ_BASE_IMAGE: "",
    };
    const model = starterFolder({ models: join(folder, "home", "models") });
    mkdirSync(join(folder, "home"), { recursive: true, mode: 0o700 });
    mkdirSync(join(model, "petals"), { recursive: true });
    writeFileSync(join(model, "ready.json"), JSON.stringify({ format: 1, files: {} }));
  }

  /** Starts the engine and gives it the image. */
  static async open(engine: SecondEngine, folder: string, instance: string): Promise<StandIn> {
    const standIn = new StandIn(engine, folder, instance);
    engine.start();
    await engine.ready();
    await engine.copy(BASE);
    await standIn.become();
    return standIn;
  }

  /** Makes the image anew, for a seeder that is well or in this mood. */
  async become(mood: Mood | "" = ""): Promise<void> {
    await this.makeImage(resolveNames(this.env).image, [
      "RUN install -d -o 10001 -g 10001 /cache",
      "COPY stand_in_seeder.py /",
      `LABEL ${LABELS.managed}=1 ${LABELS.contract}=${CONTRACT}`,
      `ENV MOOD="${mood}"`,
      'ENTRYPOINT ["python3", "/stand_in_seeder.py"]',
    ]);
  }

  /** Makes an image of the base image by these instructions. */
  async makeImage(tag: string, instructions: readonly string[]): Promise<void> {
    const script = 'printf %s "$1" | docker --host "$2" build --quiet --tag "$3" --file - "$4"';
    const dockerfile = [`FROM ${BASE}`, ...instructions].join("\n");
    const context = join(ROOT, "python", "tests");
    await exec("sh", ["-c", script, "build", dockerfile, String(this.env.DOCKER_HOST), tag, context]);
  }
}
