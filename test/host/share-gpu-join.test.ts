import type { RequestListener } from "node:http";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defaultModel } from "../../src/lib/models";
import { acquireLock } from "../../src/lib/process-lock";
import { createInvite } from "../../src/lib/sharing/invite";
import { rememberChoice } from "../../src/lib/sharing/last-choice";
import { readStatus } from "../../src/lib/sharing/status";
import { shareLock } from "../../src/lib/sharing/stop-request";
import { PETALS_VERSION } from "../../src/lib/version";
import { scriptedEngine, type ScriptedEngine } from "../unit/docker/scripted-engine";
import { builtExtension } from "./built-extension";
import { RaycastHost, type CommandView } from "./raycast";
import { answering, container, ground, LABELS, report, type Ground } from "./scripted-share";

/** Share GPU with other people's computers: joining by an invite, inviting, and what is open to whom. */

const ID = "12D3KooWK1SGTStbo4A7ibkWW4FyC65cys4K5NXdVmsgfAxLYnwL";

let extension: string;
let folder: string;
let here: Ground;
let host: RaycastHost;
let engine: ScriptedEngine;
/** Takes connections, as the peer that invites does. */
let peer: Server;
let address: string;

beforeAll(async () => {
  extension = await builtExtension();
}, 300_000);

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "torbiz-join-"));
  here = ground(join(folder, "home"));
  peer = createServer((connection) => connection.end()).listen(0, "127.0.0.1");
  await new Promise((resolve) => peer.once("listening", resolve));
  const { port } = peer.address() as { port: number };
  // An invite names no loopback address: by this one a computer reaches itself, too.
  address = `/ip4/0.0.0.0/tcp/${port}/p2p/${ID}`;
});

afterEach(async () => {
  await host.close();
  await engine.close();
  peer.close();
  rmSync(folder, { recursive: true });
});

interface OpenOptions {
  model?: string;
  share?: object;
  /** Who is in the swarm besides. */
  servers?: object[];
  fallbackText?: string;
}

async function open({ model = "", share, servers = [PEER], fallbackText }: OpenOptions = {}): Promise<CommandView> {
  const socket = join(folder, "docker.sock");
  engine = await scriptedEngine(looking(answering(here, { image: {}, share: () => share }), servers), socket);
  host = await RaycastHost.open({
    extension,
    env: { HOME: folder, ...here.env },
    preferences: { dockerHost: `unix://${socket}` },
  });
  return host.launch("share-gpu", { arguments: { model }, fallbackText });
}

/** It serves the first 12 blocks. */
const PEER = {
  ...{ peerId: ID, name: "Attic", state: "online", start: 0, end: 12 },
  ...{ throughput: 300, version: PETALS_VERSION, relayed: false },
};

/** What a look finds: the first 12 blocks are served. */
const look = (servers: object[]) => ({
  dhtPrefix: defaultModel.dhtPrefix,
  blocks: 30,
  servers,
  online: [...Array<number>(12).fill(1), ...Array<number>(18).fill(0)],
  missing: [{ start: 12, end: 30 }],
  suggestion: { start: 12, end: 30 },
  initialPeers: [{ address, answered: true, clockSkewSeconds: 0.2 }],
  clockSkewSeconds: 0.2,
  seconds: { join: 1, read: 1 },
});

/** Runs the container that looks, as an engine does. */
function looking(otherwise: RequestListener, servers: object[]): RequestListener {
  let isThere = true;
  return (request, response) => {
    const path = (request.url ?? "").replace(/^\/v[\d.]+/, "").split("?")[0] ?? "";
    const answers: Record<string, () => void> = {
      "GET /containers/json": () => response.end("[]"),
      "POST /networks/create": () => response.writeHead(201).end(JSON.stringify({ Id: "net" })),
      "POST /containers/create": () => response.writeHead(201).end(JSON.stringify({ Id: "look" })),
      "POST /containers/look/start": () => response.writeHead(204).end(),
      "GET /containers/look/logs": () => response.end(frame(JSON.stringify(look(servers)))),
      [`GET /containers/${"c".repeat(64)}/logs`]: () => response.end(frame(lastWords)),
      "GET /containers/look/json": () =>
        isThere
          ? response.end(JSON.stringify(container({ Status: "exited" })))
          : response.writeHead(404).end(JSON.stringify({ message: "no such container" })),
      "DELETE /containers/look": () => {
        isThere = false;
        response.writeHead(204).end();
      },
    };
    (answers[`${request.method} ${path}`] ?? (() => otherwise(request, response)))();
  };
}

/** What the seeder of a share that ended wrote last. */
let lastWords: string;

/** A line of stdout as the engine frames it. */
function frame(line: string): Buffer {
  const payload = Buffer.from(`${new Date().toISOString()} ${line}\n`);
  const header = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32BE(payload.length, 4);
  return Buffer.concat([header, payload]);
}

/** A share in that state, open to others at `address`. */
const shareAt = (reachable: string, changes: object = {}) => ({
  ...container(
    { Status: "running", Running: true },
    { seeder: report({ addresses: [reachable], reachability: "direct", ...changes }) },
  ),
  NetworkSettings: { Networks: {} },
});

/** As the peer there makes it. */
const inviteTo = (reachable: string) =>
  createInvite(readStatus(shareAt(reachable) as Parameters<typeof readStatus>[0]), defaultModel, { kind: "private" });

const titles = (view: CommandView) => view.actions().map(({ title }) => title);

it("says what is wrong with an invite under its field, then what is found, then shares what is missing", async () => {
  const view = await open();
  await view.waitFor("Models");
  await view.run("Enter Invite", { item: "Join by Invite…" });
  await view.type("invite", "torbiz-invite:abc");
  await view.submit();
  await view.waitFor("This invite can't be read: it is cut off or damaged.");
  await view.type("invite", `  ${inviteTo(address)}\n`);
  await view.submit();
  await view.waitFor("Blocks 12 to 29 are missing.");
  expect(view.items().map(({ title }) => title)).toEqual([
    "The peer to join by can be reached.",
    "The clocks agree: they are 0.2 s apart.",
    `Others run the same Petals: ${PETALS_VERSION}.`,
    "Blocks 12 to 29 are missing.",
    "This computer helps most with 18 blocks: 12 to 29.",
  ]);
  expect(titles(view)).toEqual(["Share Blocks 12 to 29", "Refresh"]);
  // Keeps the start where it is.
  const lock = await acquireLock(shareLock(here));
  await view.run("Share Blocks 12 to 29");
  await view.waitFor("Keep this window open until the container starts");
  expect(view.text()).toContain("Swarm: Others' Swarm");
  expect(view.text()).toContain("Blocks: 12 to 29, 18 of 30");
  lock.release();
});

it("opens the findings for an invite as its argument or as what was typed into the launcher", async () => {
  await (await open({ model: inviteTo(address) })).waitFor("Blocks 12 to 29 are missing.");
  await host.close();
  await engine.close();
  await (await open({ fallbackText: inviteTo(address) })).waitFor("Blocks 12 to 29 are missing.");
});

it("asks again for an invite that came damaged, and tells when nobody answers", async () => {
  peer.close();
  const view = await open({ model: "torbiz-invite:abc" });
  await view.waitFor("Form Join by Invite");
  await view.type("invite", inviteTo(address));
  await view.submit();
  await view.waitFor("Nobody answers at 0.0.0.0");
  expect(titles(view)[0]).toBe("Try Again");
});

it("copies the link by which an invite opens in another's launcher", async () => {
  const view = await open({ share: shareAt(address) });
  await view.waitFor("Status · Sharing");
  await view.run("Copy Invite Link", { item: "Peer" });
  const { text = "" } = host.clipboard;
  const { pathname, searchParams } = new URL(String(text));
  expect(pathname).toMatch(/\/torbiz\/share-gpu$/);
  expect(JSON.parse(searchParams.get("arguments") ?? "{}")).toEqual({ model: inviteTo(address) });
});

it("shows on the map who serves which blocks, and how to invite others while nobody else does", async () => {
  const own = { peerId: ID, blocks: { loaded: 12, total: 12, start: 0, end: 12 } };
  const view = await open({ share: shareAt(address, own) });
  await view.waitFor("Status · Sharing");
  await view.run("Show Swarm Map");
  await view.waitFor("Map · 0 peers");
  expect(view.text()).toContain("Blocks 12 to 29 are missing.");
  expect(view.text()).toContain("Another computer helps most with 18 blocks: 12 to 29.");
  expect(view.text()).toContain("Nobody else serves it now: copy the invite, and send it to somebody.");
  await view.run("Copy Invite");
  expect(host.clipboard.text).toBe(inviteTo(address));
});

it("shows others on the map, by what they call themselves", async () => {
  const view = await open({
    share: shareAt(address),
    servers: [
      PEER,
      { ...PEER, peerId: "12D3KooWPeer", name: null },
      { ...PEER, peerId: "12D3KooWGone", name: "Shed", state: "unreachable", start: 12, end: 16 },
    ],
  });
  await view.waitFor("Status · Sharing");
  await view.run("Show Swarm Map");
  await view.waitFor("Map · 1 peer");
  expect(view.text()).not.toContain("Nobody else");
  expect(view.items().map(({ subtitle }) => subtitle)).toEqual(["1 peer", "Attic", "This Computer", "Shed"]);
  await view.select("Blocks 12 to 15");
  expect(view.text()).toContain("State: Doesn't Answer");
  await view.run("Copy Peer ID", { item: "Blocks 0 to 11" });
  expect(host.clipboard.text).toBe(ID);
});

it("opens one's own swarm to the local network, says what others learn, and keeps the choice", async () => {
  const view = await open();
  await view.waitFor("Open To: This Computer Only");
  await view.run("Share with Options…");
  await view.waitFor("They learn this computer's address");
  expect(view.text()).not.toContain("Address");
  await view.type("lan", true);
  await view.waitFor("This computer's in the local network");
  // Keeps the start where it is.
  const lock = await acquireLock(shareLock(here));
  await view.submit();
  await view.waitFor("Keep this window open until the container starts");
  await view.closeWindow();
  lock.release();

  rememberChoice(here, { model: defaultModel.id, swarm: "private", lan: true });
  const again = await host.launch("share-gpu", { arguments: { model: "" } });
  await again.waitFor("Last Choice");
  expect(again.text()).toContain("Open To: The Local Network");
});

it.each([
  [
    "public-swarm-silent",
    "None of the first peers answered.",
    "The public network is silent",
    "Start a swarm of your own and invite others, or try again later.",
  ],
  [
    "not-reachable",
    "No peer can reach this computer.",
    "Peers can't reach this computer",
    "Forward the port on your router to this computer and let it through the firewall, or share in a swarm of your own.",
  ],
])("offers a swarm of one's own where the public one is no way: %s", async (code, sentence, title, next) => {
  lastWords = `06:00:00 ERROR torbiz.seeder: [${code}] ${sentence}`;
  const labels = { ...LABELS, "com.torbiz.swarm": "public" };
  rememberChoice(here, { model: defaultModel.id, swarm: "public", blocks: { start: 12, end: 30 } });
  const view = await open({ share: container({ Status: "exited", ExitCode: 1 }, { labels }) });
  await view.waitFor("Share Ended");
  await view.waitFor(`**${title}**`);
  expect(view.text()).toContain(sentence);
  expect(view.text()).toContain(next);
  expect(titles(view).slice(0, 2)).toEqual(["Retry", "Start Your Own Swarm…"]);
  host.confirm = () => false;
  await view.run("Start Your Own Swarm…");
  await host.waitFor(() => host.alerts.at(-1)?.title === "Start Your Own Swarm?");
  expect(titles(view)[0]).toBe("Retry");
  host.confirm = () => true;
  // Keeps the start where it is.
  const lock = await acquireLock(shareLock(here));
  await view.run("Start Your Own Swarm…");
  await view.waitFor("Keep this window open until the container starts");
  expect(view.text()).toContain("Swarm: Private Swarm");
  // Those were missing in the other swarm.
  expect(view.text()).not.toContain("Blocks: 12 to 29");
  lock.release();
});
