import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findDockerCli } from "../../../src/lib/docker/cli";

let root: string;
let home: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "torbiz-root-"));
  home = join(root, "home");
});

afterEach(() => rm(root, { recursive: true, force: true }));

async function program(path: string, mode = 0o755): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, "#!/bin/sh\n");
  await chmod(path, mode);
  return path;
}

const find = (PATH: string) => findDockerCli({ env: { PATH }, home, platform: "darwin", root });

describe("findDockerCli", () => {
  it("looks on PATH first, then where engines put it", async () => {
    const apple = await program(join(root, "opt/homebrew/bin/docker"));
    expect(await find("/nowhere")).toBe(apple);
    const desktop = await program(join(home, ".docker/bin/docker"));
    expect(await find("/nowhere")).toBe(desktop);
    const own = await program(join(root, "own/docker"));
    expect(await find(`/nowhere:${dirname(own)}`)).toBe(own);
  });

  it("passes over what can't be run", async () => {
    await program(join(root, "own/docker"), 0o644);
    await mkdir(join(root, "folder/docker"), { recursive: true });
    const real = await program(join(root, "usr/bin/docker"));
    expect(await find(`${join(root, "own")}:${join(root, "folder")}`)).toBe(real);
  });

  it("says where it looked when there is none", async () => {
    await expect(find("/nowhere")).rejects.toMatchObject({
      code: "docker-cli-missing",
      message: expect.stringContaining(join(home, ".docker", "bin")) as string,
    });
  });
});
