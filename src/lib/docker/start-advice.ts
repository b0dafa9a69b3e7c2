import type { ErrorAction } from "../errors";
import type { DockerSurroundings, Endpoint } from "./endpoint";

/** A program that runs a Docker engine, and how a person starts it. */
interface EngineKind {
  name: string;
  /** Tried on "<context> <url>". */
  matches: RegExp;
  /** macOS: its application, in /Applications. */
  app?: string;
  /** The command that starts it; an application is opened instead where there is none. */
  start?: Partial<Record<NodeJS.Platform, string>>;
}

const DOCKER_DESKTOP: EngineKind = {
  name: "Docker Desktop",
  matches: /desktop-linux|\/\.docker\/|dockerDesktop/,
  app: "Docker",
  start: { linux: "systemctl --user start docker-desktop" },
};

const DOCKER_ENGINE: EngineKind = {
  name: "the Docker Engine",
  matches: /\/var\/run\/docker\.sock/,
  start: { linux: "sudo systemctl start docker" },
};

/** First match wins: Podman and rootless Docker share a folder. */
const KINDS: readonly EngineKind[] = [
  { name: "OrbStack", matches: /orbstack/, app: "OrbStack" },
  { name: "Colima", matches: /colima/, start: { darwin: "colima start", linux: "colima start" } },
  { name: "Rancher Desktop", matches: /\/\.rd\/|rancher-desktop/, app: "Rancher Desktop" },
  { name: "Podman", matches: /\/run\/podman\//, start: { linux: "sudo systemctl start podman.socket" } },
  {
    name: "Podman",
    matches: /podman/,
    app: "Podman Desktop",
    start: {
      darwin: "podman machine start",
      win32: "podman machine start",
      linux: "systemctl --user start podman.socket",
    },
  },
  { name: "Lima", matches: /\/\.lima\//, start: { darwin: "limactl start", linux: "limactl start" } },
  DOCKER_DESKTOP,
  { name: "rootless Docker", matches: /\/run\/user\/|rootless/, start: { linux: "systemctl --user start docker" } },
  DOCKER_ENGINE,
];

/** The macOS applications that bring an engine, in the order to prefer them. */
export const engineApps: readonly string[] = [DOCKER_DESKTOP, ...KINDS].flatMap(({ app }) => app ?? []);

export interface StartAdvice {
  /** The program that is meant: "Docker Desktop". */
  name: string;
  /** How to start it, as the beginning of a sentence: "Open Docker Desktop". */
  how: string;
  action?: ErrorAction;
}

/**
 * How to start the engine behind an endpoint.
 *
 * @param installedApp the application to name where the endpoint alone doesn't tell
 */
export function startAdvice(
  endpoint: Endpoint,
  platform: DockerSurroundings["platform"],
  installedApp?: string,
): StartAdvice {
  if (endpoint.tcp) return { name: "Docker", how: `Start Docker on ${endpoint.tcp.host}` };
  const kind = kindOf(endpoint, platform, installedApp);
  const command = withProfile(kind.start?.[platform], endpoint);
  if (command) {
    return {
      name: kind.name,
      how: `Start ${kind.name} with \`${command}\``,
      action: { title: `Start ${kind.name}`, command },
    };
  }
  if (platform === "darwin" && kind.app) {
    const open = `open -ga "${kind.app}"`;
    return { name: kind.name, how: `Open ${kind.name}`, action: { title: `Open ${kind.name}`, command: open } };
  }
  return { name: kind.name, how: `Start ${kind.name}` };
}

function kindOf(endpoint: Endpoint, platform: NodeJS.Platform, installedApp?: string): EngineKind {
  const kind = KINDS.find(({ matches }) => matches.test(`${endpoint.context ?? ""} ${endpoint.url}`));
  if (kind && kind !== DOCKER_ENGINE) return kind;
  if (platform === "linux") return DOCKER_ENGINE;
  // On a Mac and on Windows the system's socket is a link to whichever engine the user let have it.
  return KINDS.find(({ app }) => app !== undefined && app === installedApp) ?? DOCKER_DESKTOP;
}

/** Colima's profile or Lima's machine, which its folder tells. */
function withProfile(command: string | undefined, { socketPath = "" }: Endpoint): string | undefined {
  const profile = /\/\.(?:colima|lima)\/([^/]+)\/(?:sock\/)?docker\.sock$/.exec(socketPath)?.[1];
  return command && profile && profile !== "default" ? `${command} ${profile}` : command;
}
