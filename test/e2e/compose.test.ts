import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { openEngine, openSurroundings, type EngineContext } from "../../src/lib/context";
import { findDockerCli } from "../../src/lib/docker/cli";
import { ensureImage } from "../../src/lib/docker/build/image";
import { LABELS } from "../../src/lib/names";
import { defaultModel } from "../../src/lib/models";
import { containerOptions } from "../../src/lib/sharing/container";

const work = mkdtempSync(join(tmpdir(), "torbiz-compose-"));
const file = join(work, "docker-compose.yml");
const container = "torbiz-petals-seeder-test-compose";
let context: EngineContext;

/** compose v2 where Docker has it, else the older program by itself, which Debian still ships. */
function compose(...args: string[]): string {
  const [program = "", ...first] =
    spawnSync("docker", ["compose", "version"]).status === 0 ? ["docker", "compose"] : ["docker-compose"];
  const limits = { TORBIZ_MEMORY: "3g", TORBIZ_CPUS: "1.5", TORBIZ_THREADS: "2", TORBIZ_MODEL_FOLDER: work };
  const env = { ...process.env, ...limits };
  return execFileSync(program, [...first, "-p", "torbiz-test-compose", "-f", file, ...args], {
    encoding: "utf8",
    env,
    stdio: "pipe",
  });
}

beforeAll(async () => {
  const env = {
    ...process.env,
    TORBIZ_HOME: join(work, "home"),
    TORBIZ_INSTANCE: process.env.TORBIZ_INSTANCE ?? "test",
  };
  context = await openEngine(openSurroundings({ runtimeFiles: resolve("."), env, home: homedir() }));
  await ensureImage({ ...context, cliPath: () => findDockerCli(context) });
  // Names of the test's own, so that nobody's sharing is touched; all else as it is shipped.
  const shipped = readFileSync(resolve("docker/docker-compose.macos.yml"), "utf8");
  const own = shipped
    .replace(/torbiz-petals-macos:latest/, context.names.image)
    .replace(/torbiz-petals-(seeder|cache|compose)/g, "torbiz-petals-$1-test-compose");
  writeFileSync(file, own);
  compose("up", "--no-start");
});
afterAll(() => {
  compose("down", "--volumes");
  rmSync(work, { recursive: true, force: true });
});

describe("docker-compose.macos.yml", () => {
  it("makes the container that Torbiz makes", async () => {
    const made = await context.engine.inspect(container);
    const plan = {
      ...{ model: defaultModel, modelFolder: work, swarm: { kind: "private" as const }, port: 31330 },
      ...{ hasToken: false, startedBy: "share" as const, inputs: "" },
    };
    const names = { ...context.names, instance: "" };
    const wanted = containerOptions(plan, names, { ...context.facts, cpus: 2, memoryBytes: 4 * 1024 ** 3 });

    expect(made?.Config.User).toBe(wanted.User);
    expect(made?.Config.Env).toEqual(expect.arrayContaining(wanted.Env ?? []));
    expect(made?.Config.Labels).toMatchObject(wanted.Labels ?? {});
    expect(made?.Config.Labels[LABELS.managed]).toBe("1");
    expect(made?.Config).toMatchObject({ StopSignal: wanted.StopSignal, StopTimeout: wanted.StopTimeout });
    expect(made?.Config.Healthcheck).toMatchObject(wanted.Healthcheck ?? {});
    // "--port=1" and "--port 1" are the same to the seeder.
    expect(made?.Config.Cmd.flatMap((word) => word.split("=")).toSorted()).toEqual((wanted.Cmd ?? []).toSorted());

    // Compose's own: a network, and the mounts in other words.
    for (const [key, value] of Object.entries(wanted.HostConfig ?? {})) {
      if (key === "Mounts" || key === "NetworkMode") continue;
      expect({ [key]: made?.HostConfig[key as keyof typeof made.HostConfig] }).toMatchObject({ [key]: value });
    }
    expect(made?.Mounts).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ Type: "volume", Destination: "/cache", RW: true }),
        expect.objectContaining({ Type: "bind", Source: work, Destination: "/model", RW: false }),
      ]),
    );
  });
});
