import { statSync } from "node:fs";
import type { ContainerInspectInfo } from "dockerode";
import { imageState, type ImageState } from "../docker/build/state";
import { lastBuild, type EndedBuild } from "../docker/build/last-build";
import { buildFiles, currentBuild, type RunningBuild } from "../docker/build/lock";
import { checkDocker, type PreflightProblem } from "../docker/preflight";
import { connectEngine, type EngineContext, type Surroundings } from "../context";
import { toTorbizError, type TorbizError } from "../errors";
import { lockHolder } from "../process-lock";
import { wasSharedSince } from "./last-choice";
import { readStatus, type SharingStatus } from "./status";
import { foreignContainer } from "./stop";
import { shareLock } from "./stop-request";

/** What there is to see at one moment: a view shows one screen for each. */
export type Overview =
  /** No engine to work with. */
  | { screen: "gate"; problem: PreflightProblem; error: TorbizError }
  | { screen: "building"; context: EngineContext; build: RunningBuild }
  /** A command prepares a share, and has no container yet. */
  | { screen: "preparing"; context: EngineContext }
  /** There is no image that can serve. */
  | { screen: "first-time"; context: EngineContext; failedBuild?: EndedBuild }
  /** `failedBuild`: of an update, and nothing was shared since. */
  | { screen: "choose"; context: EngineContext; image: ImageState; failedBuild?: EndedBuild }
  /** A container of ours: on its way, online, paused, or ended and not yet cleaned up. */
  | { screen: "live"; context: EngineContext; status: SharingStatus; containerId: string; image: ImageState }
  /** Another program's container that uses our name. */
  | { screen: "foreign"; context: EngineContext; error: TorbizError };

/**
 * Looks at the engine again and again for a view that stays open. The engine that was found is kept until it fails, and
 * the image is only compared with our files when it has changed: a look costs one or two inspect calls.
 *
 * @example
 * const reader = new OverviewReader(openSurroundings({ runtimeFiles }));
 * const { screen } = await reader.look();
 */
export class OverviewReader {
  private context?: EngineContext;
  /** The image as it was compared last. */
  private image?: { id: string | undefined; state: ImageState };
  private wasBuilding = false;
  /** The end of the last build, as read when its log was of that time. */
  private ended?: { logTime: number | undefined; build: EndedBuild | undefined };

  constructor(private readonly surroundings: Surroundings) {}

  /** Never throws for a state of Docker, the image or the container. */
  async look(): Promise<Overview> {
    if (this.context) {
      try {
        return await this.lookAt(this.context);
      } catch {
        // The engine ended, or another one took its place: the full check says what is there now.
        this.context = undefined;
        this.image = undefined;
      }
    }
    const docker = await checkDocker(this.surroundings);
    if (docker.state !== "ready") {
      return { screen: "gate", problem: docker.state, error: docker.error };
    }
    const context = connectEngine(this.surroundings, docker);
    try {
      const overview = await this.lookAt(context);
      this.context = context;
      return overview;
    } catch (error) {
      return { screen: "gate", problem: "not-answering", error: toTorbizError(error) };
    }
  }

  private async lookAt(context: EngineContext): Promise<Overview> {
    const { engine, names, paths } = context;
    const container = await engine.inspect(names.container);
    const status = readStatus(container);
    if (container && status.state === "foreign") {
      return { screen: "foreign", context, error: foreignContainer(names.container, container.Config.Image) };
    }
    const build = currentBuild(paths, names);
    if (this.wasBuilding && !build) this.image = undefined;
    this.wasBuilding = build !== undefined;
    if (container && !isLeftOver(context, container.State) && (status.state !== "exited" || !build)) {
      const image = this.image?.state ?? (await this.compareImage(context));
      return { screen: "live", context, status, containerId: container.Id, image };
    }
    if (build) return { screen: "building", context, build };
    if (lockHolder(shareLock(context)) !== undefined) return { screen: "preparing", context };
    const image = await this.compareImage(context);
    const failedBuild = this.failedBuild(context);
    if (image === "missing" || image === "unusable") {
      return { screen: "first-time", context, ...(failedBuild && { failedBuild }) };
    }
    const isNews = failedBuild && !wasSharedSince(context, failedBuild.at);
    return { screen: "choose", context, image, ...(isNews && { failedBuild }) };
  }

  /** How the last build failed. A log is long, so it is read only when it has changed. */
  private failedBuild({ paths, names }: EngineContext): EndedBuild | undefined {
    const logTime = statSync(buildFiles(paths, names).log, { throwIfNoEntry: false })?.mtimeMs;
    if (!this.ended || this.ended.logTime !== logTime) this.ended = { logTime, build: lastBuild(paths, names) };
    const { build } = this.ended;
    return build?.outcome === "failed" ? build : undefined;
  }

  private async compareImage(context: EngineContext): Promise<ImageState> {
    const id = (await context.engine.image(context.names.image))?.id;
    if (!this.image || this.image.id !== id) this.image = { id, state: await imageState(context) };
    return this.image.state;
  }
}

/**
 * Nothing to tell of, and for the next start or stop to clean up: made, but not started by a command that was killed in
 * between; or ended as it was asked to, by a finish or by somebody's own `docker stop`.
 */
function isLeftOver(context: EngineContext, { Status, Error, ExitCode }: ContainerInspectInfo["State"]): boolean {
  if (Status === "exited") return ExitCode === 0;
  return Status === "created" && !Error && lockHolder(shareLock(context)) === undefined;
}
