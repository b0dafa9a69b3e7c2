import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

interface ChatRequest {
  model: string;
  messages: { role: string; content: string }[];
}

/** Gives the answer piece by piece; `signal` is aborted when the client has gone. */
type Script = (request: ChatRequest, signal: AbortSignal) => AsyncIterable<string> | Iterable<string>;

/** A server that speaks OpenAI's interface, and answers what the test says. */
export class ScriptedOpenAi {
  readonly requests: (ChatRequest & { authorization?: string })[] = [];
  /** What came with each look at the list of models. */
  readonly looks: { authorization?: string }[] = [];
  script: Script = () => ["Yes."];
  private readonly server = createServer((request, response) => void this.serve(request, response));

  async listen(port = 0): Promise<void> {
    this.server.listen(port, "127.0.0.1");
    await once(this.server, "listening");
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/v1`;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, "close");
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { authorization } = request.headers;
    if (request.method === "GET") {
      this.looks.push({ authorization });
      const models = { object: "list", data: [{ id: "scripted", object: "model", created: 0, owned_by: "test" }] };
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(models));
      return;
    }
    const body: Buffer[] = [];
    for await (const chunk of request) body.push(chunk as Buffer);
    const chat = JSON.parse(Buffer.concat(body).toString("utf8")) as ChatRequest;
    this.requests.push({ ...chat, authorization });
    const gone = new AbortController();
    response.on("close", () => gone.abort());
    response.writeHead(200, { "content-type": "text/event-stream" });
    const send = async (fields: object) => {
      const chunk = { id: "x", object: "chat.completion.chunk", created: 0, model: chat.model, ...fields };
      if (!response.write(`data: ${JSON.stringify(chunk)}\n\n`))
        await Promise.race([once(response, "drain"), aborted(gone.signal)]);
    };
    let tokens = 0;
    for await (const content of this.script(chat, gone.signal)) {
      if (gone.signal.aborted) return;
      tokens++;
      await send({ choices: [{ index: 0, delta: { content }, finish_reason: null }] });
    }
    const usage = { prompt_tokens: 10, completion_tokens: tokens, total_tokens: 10 + tokens };
    await send({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }], usage });
    response.end("data: [DONE]\n\n");
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, "abort");
}
