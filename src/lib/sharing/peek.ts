import { resolveEndpoints, type DockerSurroundings } from "../docker/endpoint";
import { inspectContainer } from "../docker/http";
import { TorbizError } from "../errors";
import { resolveNames } from "../names";
import { resolvePaths } from "../paths";
import { orPreparing } from "./or-preparing";
import { readStatus, type InspectedContainer, type SharingStatus } from "./status";

/**
 * The status of a share by one call of the engine: light enough for a menu bar that asks every ten seconds, and no
 * process is started. Where no engine is named, all known ones are asked at once, so that one that hangs costs no more.
 *
 * @param surroundings where to look for the engine, and the folder that holds docker/ and python/
 * @param timeoutMs for the whole of it
 * @throws TorbizError with the first engine's failure when none answers
 */
export async function peekStatus(
  surroundings: DockerSurroundings & { runtimeFiles: string },
  timeoutMs = 2_000,
): Promise<SharingStatus> {
  const names = resolveNames(surroundings.env);
  const paths = resolvePaths(surroundings.env);
  const endpoints = await resolveEndpoints(surroundings);
  const answers = await Promise.allSettled(
    endpoints.map((endpoint) => inspectContainer(endpoint, names.container, { timeoutMs })),
  );
  const answer = answers.find(({ status }) => status === "fulfilled") ?? answers[0];
  if (!answer) throw new TorbizError("docker-not-running", "No Docker engine answers on this computer.");
  if (answer.status === "rejected") throw answer.reason;
  const status = readStatus(answer.value as InspectedContainer | undefined);
  return orPreparing(status, { names, paths, runtimeFiles: surroundings.runtimeFiles });
}
