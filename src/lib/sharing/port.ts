import { createServer } from "node:net";
import type { EngineContext } from "../context";
import { TorbizError } from "../errors";

/** A port that may be served on without root's rights. */
export function isPort(port: number): boolean {
  return Number.isInteger(port) && port >= 1024 && port <= 65535;
}

/** How many further ports to try for a suggestion. */
const NEIGHBOURS = 20;

/**
 * Asks the host whether a port is free, before an image is built or a model prepared for nothing. Only for an engine on
 * this computer: another's ports can't be tried, there the engine's own refusal tells.
 *
 * @throws TorbizError port-in-use, with a free one in the hint
 */
export async function requireFreePort({ endpoint }: Pick<EngineContext, "endpoint">, port: number): Promise<void> {
  if (!endpoint.socketPath || (await isFree(port))) return;
  for (let other = port + 1; other <= Math.min(port + NEIGHBOURS, 65535); other += 1) {
    if (await isFree(other)) {
      throw portInUse(port, { hint: `Port ${other} is free: choose it.`, cliHint: `Use --port ${other}.` });
    }
  }
  throw portInUse(port);
}

function portInUse(port: number, hints?: { hint: string; cliHint: string }): TorbizError {
  return new TorbizError("port-in-use", `Port ${port} is used by another program on this computer.`, hints);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => server.close(() => resolve(true)));
  });
}
