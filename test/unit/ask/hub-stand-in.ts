import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer, Server as TlsServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { OfferedModel } from "../../../src/lib/ask/local-models";
import type { HubModel } from "../../../src/lib/ask/model-download";

/** A file that the stand-in offers, and how it behaves while it does. */
export interface OfferedFile {
  content: Buffer;
  /** What it calls its hash, where it isn't the true one. */
  sha256?: string;
  /** Answers so instead. */
  status?: number;
  headers?: Record<string, string>;
  /** Bytes a second. */
  speed?: number;
  /** The connection breaks off after so many bytes, each time it is answered. */
  breakAfter?: number;
  /** Goes on answering with the whole file, whatever range is asked for. */
  ignoresRange?: boolean;
}

/** A request that came, with what matters of it. */
export interface SeenRequest {
  method: string;
  /** "hub" or "store": where the hub sends one on to. */
  place: "hub" | "store";
  range?: string;
  authorization?: string;
}

/**
 * The part of the model hub that a download meets: `resolve` with its headers answers with a redirect to a store at another
 * address, which serves ranges.
 */
export class HubStandIn {
  readonly requests: SeenRequest[] = [];
  file: OfferedFile = { content: Buffer.alloc(0) };
  private readonly hub;
  private readonly store = createServer((request, response) => void this.serve(request, response));

  /** @param tls its certificate, where it speaks TLS; the store never does */
  constructor(tls?: { cert: Buffer; key: Buffer }) {
    const redirect = (request: IncomingMessage, response: ServerResponse) => this.redirect(request, response);
    this.hub = tls ? createTlsServer(tls, redirect) : createServer(redirect);
  }

  async listen(): Promise<void> {
    for (const server of [this.hub, this.store]) {
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
    }
  }

  /** For HF_ENDPOINT. */
  get url(): string {
    return urlOf(this.hub).replace("http:", this.hub instanceof TlsServer ? "https:" : "http:");
  }

  offer(file: OfferedFile): void {
    this.file = file;
    this.requests.length = 0;
  }

  async close(): Promise<void> {
    for (const server of [this.hub, this.store]) {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    }
  }

  private redirect(request: IncomingMessage, response: ServerResponse): void {
    this.note("hub", request);
    const { content, sha256, status, headers } = this.file;
    if (status) {
      response.writeHead(status, headers).end();
      return;
    }
    response.writeHead(302, {
      Location: `${urlOf(this.store)}${request.url}`,
      "X-Repo-Commit": "0".repeat(40),
      "X-Linked-Size": content.length,
      "X-Linked-ETag": `"${sha256 ?? hashOf(content)}"`,
    });
    response.end();
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.note("store", request);
    const { content, speed = Infinity, breakAfter = Infinity, ignoresRange } = this.file;
    const start = ignoresRange ? 0 : Number(/bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
    const rest = content.subarray(start);
    response.writeHead(start > 0 ? 206 : 200, {
      "Content-Length": rest.length,
      ...(start > 0 && { "Content-Range": `bytes ${start}-${content.length - 1}/${content.length}` }),
    });
    const step = Math.min(1 << 18, Math.ceil(speed / 20));
    for (let sent = 0; sent < rest.length && !response.destroyed; sent += step) {
      if (sent >= breakAfter) return void response.destroy();
      if (!response.write(rest.subarray(sent, sent + step)))
        await Promise.race([once(response, "drain"), sleep(1_000)]);
      if (speed < Infinity) await sleep((step / speed) * 1_000);
    }
    response.end();
  }

  private note(place: SeenRequest["place"], { method = "", headers }: IncomingMessage): void {
    const { range, authorization } = headers;
    this.requests.push({ method, place, ...(range && { range }), ...(authorization && { authorization }) });
  }
}

/** A model of the hub, small enough to come whole in a test. */
export function smallModel(content: Buffer): HubModel & OfferedModel {
  return {
    id: "small-model",
    title: "Small Model",
    hub: { repo: "maker/small-model-GGUF", revision: "a".repeat(40), sha256: hashOf(content) },
    file: "small-model-Q4_K_M.gguf",
    bytes: content.length,
    memoryBytes: 1e9,
    computerBytes: 1e15,
    context: 4_096,
    license: "Apache-2.0",
    temperature: 0,
    note: "",
    source: "hub",
  };
}

/** SHA-256, hex. */
export function hashOf(content: Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}

function urlOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
