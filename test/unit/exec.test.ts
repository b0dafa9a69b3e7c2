import { scriptEnv } from "../../src/lib/docker/build/script";
import { searchPath } from "../../src/lib/exec";

/** What a launcher gives its commands. */
const PATH = "/usr/bin:/bin:/usr/sbin:/sbin";
const HOME = "/Users/me";

it("adds to a launcher's PATH the folders of Docker's and Homebrew's programs, each once", () => {
  const folders = searchPath({ PATH }, HOME).split(":");
  expect(folders.slice(0, 4)).toEqual(PATH.split(":"));
  for (const folder of ["/Users/me/.docker/bin", "/usr/local/bin", "/opt/homebrew/bin", "/Users/me/.orbstack/bin"]) {
    expect(folders).toContain(folder);
  }
  expect(new Set(folders).size).toBe(folders.length);
});

it("gives it to the build, whose credential helpers are there, with the docker command's own folder first", () => {
  const endpoint = { url: "unix:///x.sock", socketPath: "/x.sock", source: "socket" as const };
  const env = scriptEnv({ env: { PATH, HOME }, endpoint, runtimeFiles: "/files" }, "/opt/homebrew/bin/docker");
  expect(env.PATH?.split(":")[0]).toBe("/opt/homebrew/bin");
  expect(env.PATH).toContain("/Users/me/.docker/bin");
});
