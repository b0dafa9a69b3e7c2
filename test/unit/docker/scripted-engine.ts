import { mkdtemp, rm } from "node:fs/promises";
import { createServer as createHttpServer, type RequestListener } from "node:http";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Endpoint } from "../../../src/lib/docker/endpoint";

/** A program on a real socket that answers as its script says, for the engines one can't have on demand. */
export interface ScriptedEngine {
  socketPath: string;
  endpoint: Endpoint;
  /** "GET /_ping", in the order they came. */
  requests: string[];
  close(): Promise<void>;
}

/** Speaks HTTP. */
export function scriptedEngine(answer: RequestListener, socketPath?: string): Promise<ScriptedEngine> {
  const requests: string[] = [];
  const server = createHttpServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    answer(request, response);
  });
  return listen(server, requests, socketPath);
}

/** Speaks whatever it likes. */
export function scriptedSocket(onConnection: (socket: Socket) => void, socketPath?: string): Promise<ScriptedEngine> {
  return listen(createServer(onConnection), [], socketPath);
}

async function listen(server: Server, requests: string[], given?: string): Promise<ScriptedEngine> {
  const folder = await mkdtemp(join(tmpdir(), "torbiz-engine-"));
  const socketPath = given ?? join(folder, "docker.sock");
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => server.once("error", reject).listen(socketPath, resolve));
  return {
    socketPath,
    endpoint: { url: `unix://${socketPath}`, socketPath, source: "option" },
    requests,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** What `/info` of an engine holds, as far as it matters. */
export const INFO = {
  ServerVersion: "20.10.24",
  OperatingSystem: "Debian GNU/Linux 12 (bookworm)",
  Architecture: "x86_64",
  NCPU: 2,
  MemTotal: 8_000_000_000,
  SecurityOptions: ["name=seccomp,profile=default"],
};

/** A healthy engine, with other answers to some paths. */
export function healthy(
  others: Record<string, RequestListener> = {},
  apiVersion = "1.41",
  osType = "linux",
): RequestListener {
  return (request, response) => {
    const path = (request.url ?? "").split("?")[0] ?? "";
    const other = others[path];
    if (other) return other(request, response);
    if (path === "/_ping") return void response.writeHead(200, { "Api-Version": apiVersion, Ostype: osType }).end("OK");
    if (path === "/info") return void response.end(JSON.stringify(INFO));
    response.writeHead(404).end(JSON.stringify({ message: `no such thing: ${path}` }));
  };
}
