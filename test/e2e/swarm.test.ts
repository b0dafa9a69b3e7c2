import { setTimeout as sleep } from "node:timers/promises";
import { ensureStarterModel } from "../../src/lib/sharing/starter";
import { inviteTo } from "../../src/lib/sharing/share-invite";
import { parseSwarm, type Swarm } from "../../src/lib/sharing/swarm";
import { Computer, Neighbourhood } from "./computers";
import { type Ended, openTestBed, start, torbiz } from "./torbiz";

/**
 * Several computers in one swarm: the real seeder on each, with an address of its own, one of them behind a router. They
 * meet by an invite as people do, and each has a part of the model. A further computer, this one, asks.
 */

const QUESTION = "What is the capital of France?";
const ANSWER = "The capital of France is Paris.";
const STORY = "Write a very long story about the sea.";
const PART = 10;

let neighbourhood: Neighbourhood;
let invite: string;
/** Serves 0 to 9. */
let first: Computer;
/** Serves 10 to 19. */
let second: Computer;
/** Serves 20 to 29, at home behind a router. */
let third: Computer;

beforeAll(async () => {
  const { context, docker } = await openTestBed();
  const { engine, names, paths, facts } = context;
  expect((await torbiz(["build"])).last).toMatchObject({ ok: true });
  await ensureStarterModel({ engine, names, paths, rootless: facts.rootless });
  neighbourhood = new Neighbourhood(context, docker);
  await neighbourhood.open();
  first = await neighbourhood.start(neighbourhood.lan, 11, { kind: "private" }, PART);
  invite = inviteTo(context, await first.online());
});

afterAll(async () => {
  await torbiz(["stop", "--now"]);
  await neighbourhood?.close();
});

/** This computer asks, as somebody who has the invite. */
function ask(...words: string[]): Promise<Ended> {
  return torbiz([...asking(), ...words]);
}

function asking(): string[] {
  return ["ask", "--engine", "swarm", "--swarm", invite, "--allow-strangers", "--temperature", "0"];
}

/** The swarm forgets and learns within minutes; so long an answer may be refused, and never be wrong. */
async function askUntilAnswered(): Promise<Ended> {
  for (const end = Date.now() + 5 * 60_000; ;) {
    const ended = await ask(QUESTION);
    if (ended.last.ok === true || Date.now() > end) return ended;
    await sleep(5_000);
  }
}

interface Hop {
  peer: string;
  blocks: [number, number];
}

function swarmOfInvite(): Swarm {
  return parseSwarm([invite]);
}

async function peerOf(computer: Computer): Promise<string> {
  return String((await computer.status()).peerId);
}

async function wholeRoute(): Promise<Record<string, string>> {
  return { "0-9": await peerOf(first), "10-19": await peerOf(second), "20-29": await peerOf(third) };
}

/** Kills the one of some computers by which an answer comes for some blocks, in the middle of it. */
async function killInAnswer(
  blocks: string,
  computers: readonly Computer[],
): Promise<{ killed: Computer; after: Ended }> {
  // A conversation goes on by the peers that know it.
  const before = await ask(QUESTION);
  expect(before.last).toMatchObject({ ok: true, answer: ANSWER });
  const peers = await Promise.all(computers.map(peerOf));
  const killed = computers[peers.indexOf(route(before)[blocks] ?? "")];
  if (!killed) throw new Error(`another computer has blocks ${blocks}: ${JSON.stringify(before.last.route)}`);
  const running = start([...asking(), "--conversation", String(before.last.conversation), "--max-tokens", "80", STORY]);
  await running.waitFor(({ event }) => event === "delta");
  await killed.kill();
  return { killed, after: await running.ended };
}

/** Which peer had which blocks. */
function route({ last }: Ended): Record<string, string> {
  return Object.fromEntries((last.route as Hop[]).map(({ peer, blocks }) => [blocks.join("-"), peer]));
}

test("a computer joins by the invite, and takes blocks that are missing", async () => {
  second = await neighbourhood.start(neighbourhood.lan, 12, swarmOfInvite(), PART);
  expect(await second.online()).toMatchObject({ reachability: "direct", blocks: { start: 10, end: 20 } });
  // The first learns of itself by it.
  expect((await first.until("seen by others", ({ reachability }) => reachability !== "unknown")).reachability).toBe(
    "direct",
  );
});

test("while a computer is missing, its blocks are named", async () => {
  expect((await ask(QUESTION)).last).toMatchObject({
    ok: false,
    code: "missing-blocks",
    message: expect.stringContaining("20-29"),
  });
});

test("one that joined can invite as well, by its own address and the first one's", async () => {
  const { invite: further } = parseSwarm([inviteTo(neighbourhood.context, await second.status())]) as {
    invite?: { peers: string[] };
  };
  expect(further?.peers.map((peer) => peer.split("/")[2])).toEqual(["10.213.77.12", "10.213.77.11"]);
});

test("a computer behind a router takes the rest, serves through the first one, and says so", async () => {
  third = await neighbourhood.start(neighbourhood.home, 13, swarmOfInvite(), PART);
  expect(await third.online()).toMatchObject({ reachability: "relayed", blocks: { start: 20, end: 30 } });
});

test("a question crosses all of them", async () => {
  const ended = await ask(QUESTION);
  expect(ended.last).toMatchObject({ ok: true, answer: ANSWER });
  expect(route(ended)).toEqual(await wholeRoute());
});

test("after a cut of the network all are back by themselves: the direct one, and the one that had lost its relay", async () => {
  const away = [second, third];
  const started = await Promise.all(away.map((computer) => computer.startedAt()));
  const whole = await wholeRoute();
  const mend = await neighbourhood.cut(away);
  expect((await ask(QUESTION)).last).toMatchObject({ ok: false });
  await third.until("cut off", ({ reachability }) => reachability === "unreachable");
  await mend();
  await third.until("back", ({ state, reachability }) => state === "online" && reachability === "relayed");
  const ended = await askUntilAnswered();
  expect(route(ended)).toEqual(whole);
  expect(await Promise.all(away.map((computer) => computer.startedAt()))).toEqual(started);
});

test("a computer that dies in the middle of an answer is replaced by one with the same blocks", async () => {
  const spare = await neighbourhood.start(neighbourhood.lan, 14, swarmOfInvite(), { start: 10, end: 20 });
  await spare.online();
  const { killed, after } = await killInAnswer("10-19", [second, spare]);
  second = killed === second ? spare : second;
  expect(after.last).toMatchObject({ ok: true, finishReason: "length", tokens: 80 });
  expect(route(after)).toEqual(await wholeRoute());
});

test("where nobody else has the blocks of one that dies in the middle of an answer, they are named", async () => {
  const { after } = await killInAnswer("20-29", [third]);
  expect(after.last).toMatchObject({ ok: false, code: "missing-blocks", message: expect.stringContaining("20-29") });
});

test("torbiz join looks first, serves just the blocks that were lost, and says when it is in already", async () => {
  const codes = ({ last }: Ended) => ((last.findings ?? []) as { code: string }[]).map(({ code }) => code);
  const startOf = ({ last }: Ended) => (last.suggestion as { start: number } | null | undefined)?.start;
  let before = await torbiz(["join", invite, "--check"]);
  // What the dead had kept of the swarm's table comes back with the next announcements of those who live.
  for (const end = Date.now() + 3 * 60_000; !codes(before).includes("blocks-missing") || startOf(before) !== 20;) {
    if (Date.now() > end) break;
    await sleep(5_000);
    before = await torbiz(["join", invite, "--check"]);
  }
  expect(before.last).toMatchObject({ ok: true, model: "smollm2-135m-instruct", suggestion: { start: 20, end: 30 } });
  expect(codes(before)).toEqual(
    expect.arrayContaining(["peers-reachable", "clock-agrees", "versions-agree", "blocks-missing", "blocks-suggested"]),
  );
  const address = neighbourhood.addressIn(neighbourhood.lan);
  const joined = await torbiz(["join", invite, "--lan", address, "--port", "31377"]);
  expect(joined.last).toMatchObject({
    ok: true,
    state: "online",
    reachability: "direct",
    blocks: { start: 20, end: 30 },
  });
  const ended = await askUntilAnswered();
  expect(ended.last).toMatchObject({ ok: true, answer: ANSWER });
  expect(route(ended)["20-29"]).toBe(joined.last.peerId);
  expect(codes(await torbiz(["join", invite, "--check"]))).toContain("already-joined");
  expect((await torbiz(["stop"])).last).toMatchObject({ ok: true, announcedOffline: true });
});
