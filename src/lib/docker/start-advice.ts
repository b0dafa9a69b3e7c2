import type { ErrorAction } from "../errors";
import type { DockerSurroundings, Endpoint } from "./endpoint";

/** A program that runs a Docker engine, and how a person starts it. */
interface EngineKind {
  name: string;
  /** Tried on "<context> <url>". */
  matches: RegExp;
  /** macOS: its application, in /Applications. */
  app?: string;
  /** The program and arguments that start it; an application is opened instead where there is none. */
  start?: Partial<Record<NodeJS.Platform, readonly [file: string, ...args: string[]]>>;
}

const DOCKER_DESKTOP: EngineKind = {
  name: "Docker Desktop",
  matches: /desktop-linux|\/\.docker\/|dockerDesktop/,
  app: "Docker",
  start: { linux: ["systemctl", "--user", "start", "docker-desktop"] },
};

const DOCKER_ENGINE: EngineKind = {
  name: "the Docker Engine",
  matches: /\/var\/run\/docker\.sock/,
  start: { linux: ["sudo", "systemctl", "start", "docker"] },
};

/** First match wins: Podman and rootless Docker share a folder. */
const KINDS: readonly EngineKind[] = [
  { name: "OrbStack", matches: /orbstack/, app: "OrbStack" },
  { name: "Colima", matches: /colima/, start: { darwin: ["colima", "start"], linux: ["colima", "start"] } },
  { name: "Rancher Desktop", matches: /\/\.rd\/|rancher-desktop/, app: "Rancher Desktop" },
  { name: "Podman", matches: /\/run\/podman\//, start: { linux: ["sudo", "systemctl", "start", "podman.socket"] } },
  {
    name: "Podman",
    matches: /podman/,
    app: "Podman Desktop",
    start: {
      darwin: ["podman", "machine", "start"],
      win32: ["podman", "machine", "start"],
      linux: ["systemctl", "--user", "start", "podman.socket"],
    },
  },
  { name: "Lima", matches: /\/\.lima\//, start: { darwin: ["limactl", "start"], linux: ["limactl", "start"] } },
  DOCKER_DESKTOP,
  {
    name: "rootless Docker",
    matches: /\/run\/user\/|rootless/,
    start: { linux: ["systemctl", "--user", "start", "docker"] },
  },
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
  const { name } = kind;
  const [file, ...rest] = kind.start?.[platform] ?? [];
  if (file) {
    const args = [...rest, ...profileOf(file, endpoint)];
    const command = [file, ...args].join(" ");
    // sudo asks for a password, for which there is no place but a terminal.
    const start = file === "sudo" ? {} : { start: { file, args } };
    return {
      name,
      how: `Start ${name} with \`${command}\``,
      action: { title: `Start ${titleOf(kind)}`, command, ...start },
    };
  }
  if (platform === "darwin" && kind.app) {
    const command = `open -ga "${kind.app}"`;
    const start = { file: "open", args: ["-ga", kind.app] };
    return { name, how: `Open ${name}`, action: { title: `Open ${name}`, command, start } };
  }
  return { name, how: `Start ${name}` };
}

/** The program behind an endpoint, as a title ("Docker Engine"); undefined where its address doesn't tell. */
export function engineTitle(endpoint: Pick<Endpoint, "url" | "context">): string | undefined {
  const kind = kindByAddress(endpoint);
  return kind && titleOf(kind);
}

/** Whether a command starts the engine behind an endpoint, and no application is needed for it. */
export function hasStartCommand(endpoint: Endpoint, platform: NodeJS.Platform): boolean {
  return kindByAddress(endpoint)?.start?.[platform] !== undefined;
}

function titleOf({ name }: EngineKind): string {
  const title = name.replace(/^the /, "");
  return title.charAt(0).toUpperCase() + title.slice(1);
}

function kindByAddress({ url, context = "" }: Pick<Endpoint, "url" | "context">): EngineKind | undefined {
  return KINDS.find(({ matches }) => matches.test(`${context} ${url}`));
}

function kindOf(endpoint: Endpoint, platform: NodeJS.Platform, installedApp?: string): EngineKind {
  const kind = kindByAddress(endpoint);
  if (kind && kind !== DOCKER_ENGINE) return kind;
  if (platform === "linux") return DOCKER_ENGINE;
  // On a Mac and on Windows the system's socket is a link to whichever engine the user let have it.
  return KINDS.find(({ app }) => app !== undefined && app === installedApp) ?? DOCKER_DESKTOP;
}

/** Colima's profile or Lima's machine, which its folder tells, as a further argument. */
function profileOf(file: string, { socketPath = "" }: Endpoint): string[] {
  if (file !== "colima" && file !== "limactl") return [];
  const profile = /\/\.(?:colima|lima)\/([^/]+)\/(?:sock\/)?docker\.sock$/.exec(socketPath)?.[1];
  return profile && profile !== "default" ? [profile] : [];
}
