import type { ContainerInspectInfo } from "dockerode";

/** What a container is for decides some of the checks. */
export interface Expected {
  /** "uid:gid" that it may run as. */
  user: string;
  /** The one folder of the host, with what is in it, that may be mounted. */
  folder: string;
  /** The host's address that its ports are published on; without it there must be none. */
  hostIp?: string;
  /** A job ends soon: it may use all processors meanwhile, and its end tells how it went. */
  isJob?: boolean;
}

const isEmpty = (list: unknown): boolean => list == null || (Array.isArray(list) && list.length === 0);

/**
 * The checks of a running container in the CIS Docker Benchmark that say something of one container, as
 * docker/docker-bench-security goes through them, in our words, and a few of our own. Left out is what needs a host's or
 * an organization's policy (host names, ulimits by default, cgroups of one's own, SELinux where there is none).
 */
const CHECKS: Record<string, (info: ContainerInspectInfo, expected: Expected) => boolean> = {
  "a container runs as a user of its own": ({ Config }, { user }) => Config.User === user,
  "no profile of AppArmor, seccomp or SELinux is turned off": ({ HostConfig, ...info }) =>
    !HostConfig.SecurityOpt?.some((option: string) => /unconfined|disable|unmask/.test(option)) &&
    (info as { AppArmorProfile?: string }).AppArmorProfile !== "unconfined",
  "no capability is left": ({ HostConfig }) => HostConfig.CapDrop?.join() === "ALL" && isEmpty(HostConfig.CapAdd),
  "it isn't privileged": ({ HostConfig }) => HostConfig.Privileged === false,
  "it can't gain privileges": ({ HostConfig }) => HostConfig.SecurityOpt?.includes("no-new-privileges:true") === true,
  "no folder of the host but the expected one is mounted, and the engine's socket not at all": (
    { Mounts, HostConfig },
    { folder },
  ) =>
    isEmpty(HostConfig.Binds) &&
    Mounts.every(
      ({ Type, Source }) =>
        Type === "volume" || (Type === "bind" && (Source === folder || Source.startsWith(`${folder}/`))),
    ),
  "no mount is propagated to the host": ({ Mounts }) =>
    Mounts.every(({ Propagation }) => !Propagation || /^r?private$/.test(Propagation)),
  "no device of the host is in it": ({ HostConfig }) =>
    isEmpty(HostConfig.Devices) && isEmpty(HostConfig.DeviceRequests) && isEmpty(HostConfig.DeviceCgroupRules),
  "ports are published on the expected address, and none is a system's port": ({ HostConfig }, { hostIp }) => {
    const bindings = Object.values(
      (HostConfig.PortBindings ?? {}) as Record<string, { HostIp: string; HostPort: string }[]>,
    );
    return (
      HostConfig.PublishAllPorts !== true &&
      bindings.flat().every(({ HostIp, HostPort }) => HostIp === hostIp && Number(HostPort) >= 1024)
    );
  },
  "it isn't in the host's network, nor in the network that all containers share": ({ HostConfig }) =>
    !["host", "default", "bridge"].includes(HostConfig.NetworkMode ?? "default"),
  "it doesn't share the host's processes": ({ HostConfig }) => HostConfig.PidMode === "",
  "it doesn't share the host's IPC": ({ HostConfig }) => HostConfig.IpcMode === "private",
  "it doesn't share the host's name": ({ HostConfig }) => HostConfig.UTSMode === "",
  "it doesn't leave the engine's user namespace": ({ HostConfig }) => HostConfig.UsernsMode === "",
  "memory is limited, and nothing is swapped": ({ HostConfig }) =>
    Number(HostConfig.Memory) > 0 && HostConfig.MemorySwap === HostConfig.Memory,
  "processors are limited": ({ HostConfig }, { isJob }) => isJob === true || Number(HostConfig.NanoCpus) > 0,
  "processes are limited": ({ HostConfig }) => Number(HostConfig.PidsLimit) > 0,
  "the root is read-only": ({ HostConfig }) => HostConfig.ReadonlyRootfs === true,
  "nobody restarts it unasked": ({ HostConfig }) => HostConfig.RestartPolicy?.Name === "no",
  "its health is checked": ({ Config }, { isJob }) => isJob === true || !isEmpty(Config.Healthcheck?.Test),
  "its log can't fill the disk": ({ HostConfig }) => Boolean(HostConfig.LogConfig?.Config?.["max-size"]),
  "no secret is in its settings": ({ Config, Args }) =>
    !Config.Env.some((entry) => /(TOKEN|SECRET|PASSWORD|API_KEY)\w*=/.test(entry)) &&
    !/\bhf_\w{8,}|:\/\/[^/\s"]+:[^/\s"]+@/.test(JSON.stringify([Config.Env, Config.Labels, Config.Cmd, Args])),
};

/** Every check's sentence. */
export const ALL_CHECKS: readonly string[] = Object.keys(CHECKS);

/** The sentences that don't hold. */
export function violations(info: ContainerInspectInfo, expected: Expected): string[] {
  return Object.entries(CHECKS)
    .filter(([, holds]) => !holds(info, expected))
    .map(([sentence]) => sentence);
}
