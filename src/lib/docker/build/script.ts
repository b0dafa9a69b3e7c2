import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { execa } from "execa";
import { TorbizError } from "../../errors";
import { searchPath } from "../../exec";
import type { Names } from "../../names";
import type { Paths } from "../../paths";
import type { Endpoint } from "../endpoint";
import { buildFiles } from "./lock";

/** What the build script needs to know of its surroundings. */
export interface ScriptSurroundings {
  endpoint: Endpoint;
  /** The folder that holds docker/, python/ and .dockerignore. */
  runtimeFiles: string;
  env: NodeJS.ProcessEnv;
}

/**
 * What the build script needs of our environment: docker's own variables, proxies, and the build's inputs. Nothing else
 * goes in, so that no token does.
 */
const PASSED_ON =
  /^(?:USER|LOGNAME|LANG|LC_.*|TMPDIR|XDG_RUNTIME_DIR|DOCKER_(?:CONFIG|BUILDKIT|TLS_VERIFY|CERT_PATH)|SSL_CERT_FILE|PIP_(?:CERT|FIND_LINKS|INDEX_URL)|TORCH_INDEX_URL|TORBIZ_(?:BASE_IMAGE|WHEELS|CA_BUNDLE)|(?:https?|ftp|all|no)_proxy)$/i;

/** The script that builds the image. */
export function scriptOf({ runtimeFiles }: ScriptSurroundings): string {
  return join(runtimeFiles, "docker", "build-docker-macos.sh");
}

/** The script's environment. @param cliPath the docker command to use, where it is known */
export function scriptEnv({ env, endpoint }: ScriptSurroundings, cliPath?: string): NodeJS.ProcessEnv {
  const home = env.HOME ?? homedir();
  const passedOn = Object.entries(env).filter(([name]) => PASSED_ON.test(name));
  const path = searchPath(env, home);
  return {
    ...Object.fromEntries(passedOn),
    HOME: home,
    PATH: cliPath ? [dirname(cliPath), path].join(delimiter) : path,
    ...engineVariable(endpoint),
  };
}

/** What tells the docker command which engine is meant. */
export function engineVariable(endpoint: Endpoint): Record<string, string> {
  // A context may hold certificates that an address alone doesn't.
  return endpoint.context ? { DOCKER_CONTEXT: endpoint.context } : { DOCKER_HOST: endpoint.url };
}

/** The script's arguments for the image of these names. */
export function scriptArgs({ paths, names, force }: { paths: Paths; names: Names; force?: boolean }): string[] {
  const { lock, log } = buildFiles(paths, names);
  return ["--tag", names.image, "--log", log, "--lock", lock, ...(force ? ["--no-cache"] : [])];
}

/** The hash of what the image is made from; the script alone knows what that is. */
export async function inputsHash(surroundings: ScriptSurroundings): Promise<string> {
  const { stdout, stderr, failed } = await execa("bash", [scriptOf(surroundings), "--inputs-hash"], {
    env: scriptEnv(surroundings),
    extendEnv: false,
    reject: false,
    timeout: 60_000,
    stdin: "ignore",
  });
  if (failed || !/^[0-9a-f]{64}$/.test(stdout)) throw scriptFailure(stderr);
  return stdout;
}

/** The script refused to start: what it said on stderr, as a sentence. */
export function scriptFailure(said: string): TorbizError {
  const words = said
    .replace(/^build-docker-macos\.sh: /, "")
    .replace(/ See --help\.\n/, "")
    .trim();
  return new TorbizError("build-failed", `The build couldn't start: ${words || "the script said nothing."}`, {
    hint: "Fix that and try again.",
  });
}
