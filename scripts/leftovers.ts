import { execa } from "execa";
import type { Endpoint } from "../src/lib/docker/endpoint";
import { LABELS } from "../src/lib/names";
import { engineArgs } from "../src/lib/setup/base-image";

const KINDS = {
  container: { list: ["ps", "--all"], id: "{{.ID}}", remove: ["rm", "--force", "--volumes"] },
  network: { list: ["network", "ls"], id: "{{.ID}}", remove: ["network", "rm"] },
  volume: { list: ["volume", "ls"], id: "{{.Name}}", remove: ["volume", "rm"] },
};

/**
 * Removes what an instance and its own instances (`test`, `test-1`, …) left on an engine. Their images stay: they make
 * the next run quick.
 *
 * @param onFailure hears what couldn't be removed
 */
export async function removeLeftovers(
  endpoint: Endpoint,
  instance: string,
  onFailure: (said: string) => void,
): Promise<void> {
  const docker = async (...args: string[]) => {
    const done = await execa("docker", [...engineArgs(endpoint), ...args], {
      ...{ stdin: "ignore", reject: false, all: true, timeout: 60_000 },
    });
    if (done.failed) onFailure(done.all || String(done.shortMessage));
    return done.failed ? "" : done.all;
  };
  for (const { list, id, remove } of Object.values(KINDS)) {
    const format = `{{.Label "${LABELS.instance}"}} ${id}`;
    const found = await docker(...list, "--filter", `label=${LABELS.managed}=1`, "--format", format);
    for (const line of found.split("\n")) {
      const [owner = "", name = ""] = line.split(" ");
      if (owner === instance || owner.startsWith(`${instance}-`)) await docker(...remove, name);
    }
  }
}
