import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import type { WebSurroundings } from "../../../src/lib/web";

export const COMMIT = "0123456789abcdef0123456789abcdef01234567";

/** A config as TinyLlama's, small enough to read. */
export const CONFIG = {
  model_type: "llama",
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 1000,
  torch_dtype: "bfloat16",
  rope_scaling: null,
};

/** What a hub tells of a model, as Hugging Face's does. */
export const INFO = {
  id: "Owner/Name",
  sha: COMMIT,
  gated: false as unknown,
  cardData: { license: "apache-2.0" } as unknown,
  tags: ["license:apache-2.0"] as unknown,
  siblings: [
    { rfilename: "config.json", size: 500 },
    { rfilename: "model-00001-of-00002.safetensors", size: 700_000 },
    { rfilename: "model-00002-of-00002.safetensors", size: 300_000 },
    { rfilename: "model.safetensors.index.json", size: 900 },
    { rfilename: "consolidated.safetensors", size: 1_000_000 },
    { rfilename: "original/model.safetensors", size: 1_000_000 },
    { rfilename: "pytorch_model.bin", size: 1_000_000 },
  ] as unknown,
};

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** The two answers that a look-up needs, and what each request brought. */
export class ScriptedHub {
  readonly seen: { path: string; authorization?: string }[] = [];
  info: unknown = INFO;
  config: unknown = CONFIG;
  /** Answers instead, where it answers at all. */
  instead?: (request: IncomingMessage, response: ServerResponse) => boolean;
  private server?: Server;

  async start(): Promise<this> {
    this.server = await listen((request, response) => {
      const { url = "", headers } = request;
      this.seen.push({ path: url, ...(headers.authorization && { authorization: headers.authorization }) });
      if (this.instead?.(request, response)) return;
      const body = url.endsWith("/config.json") ? this.config : url.startsWith("/api/models/") ? this.info : undefined;
      if (body === undefined) response.writeHead(404).end();
      else response.end(JSON.stringify(body));
    });
    return this;
  }

  get address(): string {
    return addressOf(this.server);
  }

  async stop(): Promise<void> {
    await close(this.server);
  }
}

/** Of a user who named this hub. */
export function surroundingsOf(HF_ENDPOINT: string): WebSurroundings {
  return { env: { HF_ENDPOINT }, home: tmpdir(), platform: process.platform };
}

/** A server on a free port of this computer. */
export async function listen(handler: Handler): Promise<Server> {
  const server = createServer(handler);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

export function addressOf(server: Server | undefined): string {
  return `http://127.0.0.1:${(server?.address() as AddressInfo).port}`;
}

export async function close(server: Server | undefined): Promise<void> {
  server?.closeAllConnections();
  await new Promise((resolve) => server?.close(resolve));
}
