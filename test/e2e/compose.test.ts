import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EngineContext } from "../../src/lib/context";
import { findDockerCli } from "../../src/lib/docker/cli";
import { ensureImage } from "../../src/lib/docker/build/image";
import { LABELS } from "../../src/lib/names";
import { defaultModel } from "../../src/lib/models";
import { containerOptions } from "../../src/lib/sharing/container";
import { resourceLimits } from "../../src/lib/sharing/limits";
import { ensureStarterModel } from "../../src/lib/sharing/starter";
import { openTestBed, ROOT, torbiz } from "./torbiz";

const work = mkdtempSync(join(tmpdir(), "torbiz-compose-"));
const file = join(work, "docker-compose.yml");
let context: EngineContext;
let modelFolder: string;

/** compose v2 where Docker has it, else the older program by itself, which Debian still ships. */
function compose(...args: string[]): string {
  const [program = "", ...first] =
    spawnSync("docker", ["compose", "version"]).status === 0 ? ["docker", "compose"] : ["docker-compose"];
  const limits = { TORBIZ_MEMORY: "3g", TORBIZ_CPUS: "1.5", TORBIZ_THREADS: "2", TORBIZ_MODEL_FOLDER: modelFolder };
  const env = { ...process.env, ...limits };
  return execFileSync(program, [...first, "-p", `torbiz-${context.names.instance}`, "-f", file, ...args], {
    encoding: "utf8",
    env,
    stdio: "pipe",
  });
}

beforeAll(async () => {
  ({ context } = await openTestBed());
  const { engine, names, paths, facts } = context;
  await ensureImage({ ...context, cliPath: () => findDockerCli(context) });
  const starter = await ensureStarterModel({ engine, names, paths, rootless: facts.rootless });
  modelFolder = join(starter.folder, "petals");
  // Names of the test's own, so that nobody's sharing is touched; all else as it is shipped.
  const own = readFileSync(join(ROOT, "docker", "docker-compose.macos.yml"), "utf8")
    .replace("torbiz-petals-macos:latest", names.image)
    .replace("torbiz-petals-seeder", names.container)
    .replace(/torbiz-petals-(cache|compose)/g, `torbiz-petals-$1-${names.instance}-compose`)
    .replace(`${LABELS.instance}: ""`, `${LABELS.instance}: "${names.instance}"`)
    .replaceAll("31330", String(names.port));
  writeFileSync(file, own);
  compose("up", "--no-start");
});
afterAll(() => {
  compose("down", "--volumes");
  rmSync(work, { recursive: true, force: true });
});

describe("docker-compose.macos.yml", () => {
  it("makes the container that Torbiz makes", async () => {
    const made = await context.engine.inspect(context.names.container);
    const plan = {
      ...{ model: defaultModel, files: { folder: modelFolder }, swarm: { kind: "private" as const } },
      port: context.names.port,
      ...{ startedBy: "share" as const, inputs: "" },
      limits: resourceLimits({ cpus: 2, memoryBytes: 4 * 1024 ** 3 }),
    };
    const wanted = containerOptions(plan, context.names);

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
        expect.objectContaining({ Type: "bind", Source: modelFolder, Destination: "/model", RW: false }),
      ]),
    );
  });

  it("starts a share that Torbiz adopts, shows and stops as its own", async () => {
    compose("start");
    expect((await torbiz(["share"])).last).toMatchObject({ ok: true, adopted: true, state: "online" });
    expect((await torbiz(["status"])).last).toMatchObject({
      state: "online",
      model: defaultModel.id,
      swarm: "private",
      port: context.names.port,
      blocks: { loaded: defaultModel.blocks, total: defaultModel.blocks },
    });
    expect((await torbiz(["stop"])).last).toMatchObject({
      ok: true,
      announcedOffline: true,
      forced: false,
      exitCode: 0,
    });
    expect(await context.engine.inspect(context.names.container)).toBeUndefined();
  });
});
