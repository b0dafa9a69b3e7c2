import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface ScriptedServer {
  socketPath: string;
  close(): Promise<void>;
}

/** A real HTTP server on a unix socket that does what the test says. */
export async function scriptedServer(
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<ScriptedServer> {
  const folder = mkdtempSync(join(tmpdir(), "ask-"));
  const socketPath = join(folder, "s");
  const server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  return {
    socketPath,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
