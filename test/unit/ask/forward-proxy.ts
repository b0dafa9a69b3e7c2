import { once } from "node:events";
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { connect, type AddressInfo, type Socket } from "node:net";

/**
 * A proxy as companies have them. Every host is at 127.0.0.1 for it, so that a name which nobody else knows can only be
 * reached through it.
 */
export class ForwardProxy {
  /** What was asked of it: a CONNECT's "host:port", or a whole address. */
  readonly requests: string[] = [];
  /** "name:password", where it wants them. */
  login?: string;
  private readonly sockets = new Set<Socket>();
  private readonly server = createServer((request, response) => this.forward(request, response));

  /** @param host the address at which those who ask can reach it */
  constructor(private readonly host = "127.0.0.1") {
    this.server.on("connect", (request: IncomingMessage, client: Socket) => this.tunnel(request, client));
    this.server.on("connection", (socket) => this.keep(socket));
  }

  async listen(): Promise<void> {
    this.server.listen(0, this.host);
    await once(this.server, "listening");
  }

  get url(): string {
    const { port } = this.server.address() as AddressInfo;
    return `http://${this.login ? `${this.login}@` : ""}${this.host}:${port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
    await once(this.server, "close");
  }

  private isAllowed({ headers }: IncomingMessage): boolean {
    const wanted = this.login && `Basic ${Buffer.from(this.login).toString("base64")}`;
    return headers["proxy-authorization"] === wanted;
  }

  private tunnel(request: IncomingMessage, client: Socket): void {
    if (!this.isAllowed(request)) return void client.end("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    this.requests.push(request.url ?? "");
    const port = Number(request.url?.split(":").at(-1));
    const target = this.keep(connect(port, "127.0.0.1", () => client.write("HTTP/1.1 200 OK\r\n\r\n")));
    client.on("error", () => target.destroy());
    target.pipe(client).pipe(target);
  }

  private forward(request: IncomingMessage, response: ServerResponse): void {
    if (!this.isAllowed(request)) return void response.writeHead(407).end();
    this.requests.push(request.url ?? "");
    const { port, pathname, search } = new URL(request.url ?? "");
    const { method, headers } = request;
    const onward = httpRequest({ host: "127.0.0.1", port, path: pathname + search, method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  }

  private keep(socket: Socket): Socket {
    this.sockets.add(socket);
    return socket.on("error", () => undefined).on("close", () => this.sockets.delete(socket));
  }
}
