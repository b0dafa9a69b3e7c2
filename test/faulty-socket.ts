import { connect, createServer, type Server, type Socket } from "node:net";
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";

/** What happens to answers on their way; nothing where nothing is named. */
export interface Harm {
  /** How long each piece is held up, in milliseconds. */
  delayMs?: () => number;
  /** The largest piece, in bytes. */
  pieceBytes?: number;
  /** An answer breaks off after so many bytes. */
  cutAfterBytes?: number;
  /** From this byte on an answer is garbage. */
  garbledFromByte?: number;
}

/** A socket before another one: whatever is behind it, such as a real engine, can fall silent, slow or mad from outside. */
export class FaultySocket {
  harm: Harm = {};
  private server?: Server;
  private readonly open = new Set<Socket>();

  constructor(
    readonly path: string,
    private readonly behind: string,
  ) {}

  async start(): Promise<void> {
    const server = createServer((client) => this.join(client));
    this.server = server;
    await new Promise<void>((resolve) => server.listen(this.path, resolve));
  }

  /** Breaks off what is on its way. One that isn't started is fine. */
  async stop(): Promise<void> {
    const { server } = this;
    if (!server?.listening) return;
    this.open.forEach((socket) => socket.destroy());
    await new Promise((resolve) => server.close(resolve));
  }

  private join(client: Socket): void {
    const behind = connect(this.behind);
    for (const [one, other] of [
      [client, behind],
      [behind, client],
    ] as const) {
      this.open.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => this.open.delete(one));
    }
    client.on("close", () => behind.destroy());
    client.pipe(behind);
    void this.answer(behind, client);
  }

  private async answer(behind: Socket, client: Socket): Promise<void> {
    const { delayMs, pieceBytes = Infinity, cutAfterBytes = Infinity, garbledFromByte = Infinity } = this.harm;
    let passed = 0;
    try {
      for await (const data of behind as AsyncIterable<Buffer>) {
        for (let rest = data; rest.length > 0;) {
          const piece = rest.subarray(0, Math.min(pieceBytes, cutAfterBytes - passed));
          rest = rest.subarray(piece.length);
          if (delayMs) await sleep(delayMs());
          const garbled = Math.max(0, Math.min(piece.length, garbledFromByte - passed));
          passed += piece.length;
          client.write(Buffer.concat([piece.subarray(0, garbled), Buffer.alloc(piece.length - garbled, "\0{?")]));
          if (passed >= cutAfterBytes) return;
          // Else the kernel puts small pieces together again.
          if (pieceBytes < Infinity) await turn();
        }
      }
      client.end();
    } catch {
      // Either end went away.
    } finally {
      if (passed >= cutAfterBytes) client.destroySoon();
      behind.destroy();
    }
  }
}
