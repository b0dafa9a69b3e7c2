import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import fc from "fast-check";
import { resolveEndpoints } from "../../src/lib/docker/endpoint";
import { toTorbizError } from "../../src/lib/errors";

/** Which engine is meant, by the docker command itself: whatever it would talk to is what Torbiz talks to. */

const exec = promisify(execFile);

/** All that decides on an engine. */
interface Configuration {
  /** What config.json holds; there is none when absent. */
  config?: string;
  /** What the meta.json of each context holds, by the context's name. */
  contexts: Record<string, string>;
  host?: string;
  context?: string;
}

const NAMES = ["default", "gone", "with space", "ünï.code", "..", "../mine", "a/b", "-x", "MINE"];
/**
 * As people and engines write them; those of ssh and fd are no address for Torbiz. Of a Windows pipe on Linux, and of an empty
 * variable, versions of the command think differently.
 */
const HOSTS = [
  ...["unix:///a.sock", "unix:///with space/b.sock", "ssh://me@box", "fd://"],
  ...["tcp://box:2300", "tcp://box", "tcp://127.0.0.1:80", "tcp://[::1]:2375", "unix://", "nothing://at all"],
];

const name = fc.oneof({ weight: 2, arbitrary: fc.constant("mine") }, fc.constantFrom(...NAMES));
const host = fc.constantFrom(...HOSTS);
const json = (value: fc.Arbitrary<unknown>) => value.map((each) => JSON.stringify(each));
const torn = (text: fc.Arbitrary<string>) => fc.tuple(text, fc.nat(40)).map(([whole, end]) => whole.slice(0, end));
const config = json(
  fc.oneof(
    fc.record({ currentContext: name, auths: fc.constant({}), credsStore: fc.constant("none") }, { requiredKeys: [] }),
    fc.record({ currentcontext: name }),
    fc.record({ currentContext: fc.constantFrom(5, null, "", {}) }),
  ),
);
const meta = json(
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        Name: name,
        Metadata: fc.constant({}),
        Endpoints: fc.record({ docker: fc.record({ Host: host }) }),
      }),
    },
    fc.record({ Name: name, Endpoints: fc.record({ docker: fc.record({ Host: fc.constantFrom(5, {}) }) }) }),
    fc.record({ Name: name, Endpoints: fc.constantFrom(5, "docker") }),
  ),
);
const configuration: fc.Arbitrary<Configuration> = fc.record(
  {
    config: fc.oneof({ weight: 4, arbitrary: config }, torn(config), fc.constantFrom("", "[]", "null", '"mine"')),
    contexts: fc.dictionary(name, fc.oneof({ weight: 6, arbitrary: meta }, torn(meta)), { minKeys: 1, maxKeys: 5 }),
    host: fc.option(fc.oneof(host, fc.constant("box:2375")), { nil: undefined, freq: 1 }),
    context: fc.option(name, { nil: undefined, freq: 2 }),
  },
  { requiredKeys: ["contexts"] },
);

let home: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "torbiz-contexts-"));
});
afterEach(() => rmSync(home, { recursive: true }));

/** Writes it anew. @returns the environment that it takes */
function write({ config, contexts, host, context }: Configuration): NodeJS.ProcessEnv {
  const folder = join(home, ".docker");
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  if (config !== undefined) writeFileSync(join(folder, "config.json"), config);
  for (const [name, meta] of Object.entries(contexts)) {
    const place = join(folder, "contexts", "meta", createHash("sha256").update(name).digest("hex"));
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, "meta.json"), meta);
  }
  const { PATH } = process.env;
  return {
    ...{ PATH, HOME: home },
    ...(host !== undefined && { DOCKER_HOST: host }),
    ...(context !== undefined && { DOCKER_CONTEXT: context }),
  };
}

/** The address that the docker command takes; undefined where it refuses to. */
async function byDocker(env: NodeJS.ProcessEnv): Promise<string | undefined> {
  try {
    const { stdout } = await exec("docker", ["context", "inspect"], { env });
    const [found] = JSON.parse(stdout) as [{ Endpoints: { docker?: { Host?: string } } }];
    return found.Endpoints.docker?.Host ?? "";
  } catch {
    return undefined;
  }
}

/** The address that Torbiz takes, the first of several; the error's code where it takes none. */
async function byTorbiz(env: NodeJS.ProcessEnv): Promise<string> {
  try {
    const [first] = await resolveEndpoints({ env, home, platform: "linux" });
    return first?.url ?? "none";
  } catch (error) {
    return toTorbizError(error).code;
  }
}

/** With what an address may leave out. */
function whole(url: string): string {
  const withScheme = url.includes("://") ? url : `tcp://${url}`;
  if (withScheme === "unix://") return "unix:///var/run/docker.sock";
  return /^tcp:\/\/[^:]+$/.test(withScheme) ? `${withScheme}:2375` : withScheme;
}

test("any configuration means the same engine to Torbiz as to the docker command", async () => {
  const seen = new Set<string>();
  await fc.assert(
    fc.asyncProperty(configuration, async (given) => {
      const env = write(given);
      const [docker, torbiz] = await Promise.all([byDocker(env), byTorbiz(env)]);
      seen.add(torbiz.replace(/:.*/, ""));
      if (docker === undefined) expect(torbiz).toMatch(/^docker-(context-missing|host-unsupported)$/);
      else if (!/^(unix:\/\/(\/|$)|tcp:|box:)/.test(docker)) expect(torbiz).toBe("docker-host-unsupported");
      else expect(torbiz).toBe(whole(docker));
    }),
    { numRuns: 120 },
  );
  expect(seen).toEqual(new Set(["unix", "tcp", "docker-context-missing", "docker-host-unsupported"]));
});
