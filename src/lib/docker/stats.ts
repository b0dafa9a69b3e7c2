/** What a container uses at the moment. */
export interface ContainerStats {
  /** Processors that it keeps busy: 1.5 is one and a half. */
  cpus: number;
  /** Without the page cache, which goes when it is needed elsewhere: as `docker stats` counts. */
  memoryBytes: number;
  memoryLimitBytes: number;
}

/** As far as it matters, the engine's answer to `/containers/ID/stats`. */
interface StatsAnswer {
  cpu_stats?: CpuStats;
  precpu_stats?: CpuStats;
  memory_stats?: { usage?: number; limit?: number; stats?: { total_inactive_file?: number; inactive_file?: number } };
}

/** Nanoseconds since the container or the machine began. */
interface CpuStats {
  cpu_usage?: { total_usage?: number };
  system_cpu_usage?: number;
  online_cpus?: number;
}

/**
 * The engine's two samples as what lies between them, as the docker command counts (cli/command/container/stats_helpers.go);
 * undefined for a container that doesn't run, whose samples are empty.
 */
export function toStats(answer: unknown): ContainerStats | undefined {
  const { cpu_stats: now = {}, precpu_stats: before = {}, memory_stats: memory = {} } = answer as StatsAnswer;
  const { usage, limit, stats = {} } = memory;
  if (usage === undefined || limit === undefined || now.system_cpu_usage === undefined) return undefined;
  const used = (now.cpu_usage?.total_usage ?? 0) - (before.cpu_usage?.total_usage ?? 0);
  const passed = now.system_cpu_usage - (before.system_cpu_usage ?? 0);
  // cgroup v1 and v2 name it differently; v1 has the other name as well, for the container's own group only.
  const cache = stats.total_inactive_file ?? stats.inactive_file ?? 0;
  return {
    cpus: passed > 0 ? Math.max(0, (used / passed) * (now.online_cpus ?? 1)) : 0,
    memoryBytes: cache < usage ? usage - cache : usage,
    memoryLimitBytes: limit,
  };
}
