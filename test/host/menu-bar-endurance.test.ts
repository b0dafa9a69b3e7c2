import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { builtExtension } from "./built-extension";
import { RaycastHost, type ResidentCommand, type ResidentReport } from "./raycast";
import { ground, type Ground } from "./scripted-share";

/**
 * Menu bars of other extensions have grown to gigabytes and left thousands of processes, a little at each refresh. Here
 * every refresh is loaded in the same process, against the real engine, so that what one leaves stays to be counted.
 */

const REFRESHES = 1_000;
/** Before the first look: code is compiled and pools are filled once. */
const WARM_UP = 300;
/** A leak of 1 KB at each refresh of one half would be 500 KB. */
const HEAP_BOUND = 256 * 1024;
const TIMEOUT_MS = 600_000;

const ENGINE = "/var/run/docker.sock";

let home: string;
let here: Ground;
let host: RaycastHost;
let proxy: Server;
let resident: ResidentCommand;
const requests: string[] = [];

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), "torbiz-menu-"));
  here = ground(home);
  const socketPath = join(home, "docker.sock");
  proxy = createServer((client) => {
    const engine = connect(ENGINE);
    client.on("data", (data: Buffer) => requests.push(...data.toString("latin1").split("\r\n").filter(isRequest)));
    client.pipe(engine).pipe(client);
    for (const [one, other] of [
      [client, engine],
      [engine, client],
    ] as const) {
      one.on("error", () => other.destroy());
      one.on("close", () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => proxy.listen(socketPath, resolve));
  host = await RaycastHost.open({
    extension: await builtExtension(),
    env: here.env,
    preferences: { dockerHost: socketPath },
  });
  resident = await host.resident("menu-bar");
}, TIMEOUT_MS);

afterAll(async () => {
  await host.close();
  await new Promise((resolve) => proxy.close(resolve));
  rmSync(home, { recursive: true });
});

function isRequest(line: string): boolean {
  return /^[A-Z]+ \/\S* HTTP\/1\.1$/.test(line);
}

/** Refreshes, and looks at what is left after each hundred. */
async function refreshes(count: number): Promise<ResidentReport[]> {
  const reports: ResidentReport[] = [];
  for (let done = 1; done <= count; done += 1) {
    const menu = await resident.refresh();
    if (menu.tooltip !== "Torbiz: Not Sharing") throw new Error(`Refresh ${done}: ${menu.text}`);
    if (done % 100 === 0) reports.push(await resident.report());
  }
  return reports;
}

it(
  "leaves nothing behind after 1,000 refreshes",
  async () => {
    const [start] = await refreshes(WARM_UP);
    requests.length = 0;
    const reports = await refreshes(REFRESHES);
    const path = `/containers/${here.names.container}/json`;
    expect(requests.length).toBe(REFRESHES);
    expect(new Set(requests)).toEqual(new Set([`GET ${path} HTTP/1.1`]));

    expect(reports.map(({ childProcesses }) => childProcesses)).toEqual(reports.map(() => 0));
    for (const { activeResources } of reports) expect(activeResources).toEqual(start?.activeResources);

    const heap = reports.map(({ heapUsed }) => heapUsed);
    const half = heap.length / 2;
    const lowest = (values: number[]) => Math.min(...values);
    expect(lowest(heap.slice(half)) - lowest(heap.slice(0, half))).toBeLessThan(HEAP_BOUND);
  },
  TIMEOUT_MS,
);
