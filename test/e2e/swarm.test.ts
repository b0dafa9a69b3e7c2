import { setTimeout as sleep } from "node:timers/promises";
import { ensureStarterModel } from "../../src/lib/sharing/starter";
import { inviteTo } from "../../src/lib/sharing/share-invite";
import { parseSwarm, type Swarm } from "../../src/lib/sharing/swarm";
import { gapsOf } from "../../src/lib/sharing/block-bar";
import { bareClient } from "./bare-client";
import { Computer, Neighbourhood } from "./computers";
import { type Ended, openTestBed, outcome, start, tokensThatLast, torbiz } from "./torbiz";

/**
 * Several computers in one swarm: the real seeder on each, with an address of its own, one of them behind a router. They
 * meet by an invite as people do, and each has a part of the model. A further computer, this one, asks.
 */

const QUESTION = "What is the capital of France?";
const ANSWER = "The capital of France is Paris.";
const STORY = "Write a very long story about the sea.";
const PART = 10;
const SLEEP_MS = 90_000;
const LAST_PART = JSON.stringify([{ start: 20, end: 30 }]);

let neighbourhood: Neighbourhood;
let invite: string;
/** Serves 0 to 9. */
let first: Computer;
/** Serves 10 to 19. */
let second: Computer;
/** Serves 20 to 29, at home behind a router. */
let third: Computer;
/** To the question, in a conversation that then goes on with the story. */
let answered: Ended;
/** The story in that conversation, by all of them, while nothing happens. */
let undisturbed: Ended;
let docker: string;

beforeAll(async () => {
  const bed = await openTestBed();
  docker = bed.docker;
  const { context } = bed;
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

/** The words that ask for the story after an answer. */
function story({ last }: Ended): string[] {
  return ["--conversation", String(last.conversation), "--max-tokens", String(tokensThatLast(answered)), STORY];
}

/** All that was streamed. */
function streamed({ events }: Ended): string {
  return events.flatMap(({ event, text }) => (event === "delta" ? [String(text)] : [])).join("");
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
  const running = start([...asking(), ...story(before)]);
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
  expect(further?.peers.map((peer) => peer.split("/")[2])).toEqual([second.address, first.address]);
});

test("a computer behind a router takes the rest, serves through the first one, and says so", async () => {
  third = await neighbourhood.start(neighbourhood.home, 13, swarmOfInvite(), PART);
  expect(await third.online()).toMatchObject({ reachability: "relayed", blocks: { start: 20, end: 30 } });
});

test("a question crosses all of them", async () => {
  answered = await ask(QUESTION);
  expect(answered.last).toMatchObject({ ok: true, answer: ANSWER });
  expect(route(answered)).toEqual(await wholeRoute());
});

test("torbiz swarm tells of all of them what a bare client reads, also of the one behind the router", async () => {
  const { peerId, addresses } = await first.status();
  const bare = await bareClient(docker, first.id, String(addresses[0]));
  const parts = [peerId, await peerOf(second), await peerOf(third)];
  expect(bare).toEqual(parts.flatMap((peer) => Array<string[]>(PART).fill([String(peer)])));
  const { last } = await torbiz(["swarm", "--swarm", invite]);
  expect(last.online).toEqual(bare.map((peers) => peers.length));
  expect(last).toMatchObject({
    ...{ ok: true, peers: 3, missing: [] },
    servers: parts.map((peer, index) => ({
      ...{ peerId: peer, state: "online", relayed: peer === parts[2] },
      ...{ start: index * PART, end: (index + 1) * PART },
    })),
  });
});

test("a long answer comes through the relay without a break", async () => {
  undisturbed = await ask(...story(answered)); // libp2p's own relay ends after 128 KiB
  expect(undisturbed.last).toMatchObject({ ok: true, tokens: tokensThatLast(answered) });
  expect(undisturbed.events.filter(({ stage }) => stage === "recovering")).toEqual([]);
});

test("after a sleep and a cut of the network all are back by themselves: the direct one, and the one that had lost its relay", async () => {
  const away = [second, third];
  const started = await Promise.all(away.map((computer) => computer.startedAt()));
  const whole = await wholeRoute();
  const { since } = await second.status();
  const running = start([...asking(), "--max-tokens", "100", STORY]);
  await running.waitFor(({ event }) => event === "delta");
  const mend = await neighbourhood.cut(away);
  const wake = await second.sleep();
  const gone = JSON.stringify([{ start: 10, end: 30 }]);
  await Promise.all([
    // What was on its way through them is told of.
    expect(running.ended).resolves.toMatchObject({ last: { ok: false, code: "missing-blocks" } }),
    expect(ask(QUESTION)).resolves.toMatchObject({ last: { ok: false } }),
    third.until("cut off", ({ reachability }) => reachability === "unreachable"),
    first.until("told of it", ({ glance }) => JSON.stringify(gapsOf(glance?.online ?? [])) === gone),
    sleep(SLEEP_MS),
  ]);
  await mend();
  await wake();
  await third.until("back", ({ state, reachability }) => state === "online" && reachability === "relayed");
  await first.until("told of it", ({ glance }) => gapsOf(glance?.online ?? [0]).length === 0);
  const ended = await askUntilAnswered();
  expect(route(ended)).toEqual(whole);
  expect(await Promise.all(away.map((computer) => computer.startedAt()))).toEqual(started);
  expect(await second.status()).toMatchObject({ state: "online", health: "ok", message: null, since });
});

test("a computer that dies in the middle of an answer is replaced by one with the same blocks", async () => {
  const spare = await neighbourhood.start(neighbourhood.lan, 14, swarmOfInvite(), { start: 10, end: 20 });
  await spare.online();
  const { killed, after } = await killInAnswer("10-19", [second, spare]);
  second = killed === second ? spare : second;
  // The same words: no token is lost, doubled or another one where the spare went on.
  expect(outcome(after)).toEqual(outcome(undisturbed));
  expect(streamed(after)).toBe(undisturbed.last.answer);
  expect(after.events.map(({ stage }) => stage)).toContain("recovering");
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
  // By other peers of the same swarm: there is nothing to start, and nothing in the way.
  const [firsts] = (await first.status()).addresses as string[];
  const again = await torbiz(["join", String(firsts), String((joined.last.addresses as string[])[0])]);
  expect(again.events).toContainEqual(
    expect.objectContaining({ event: "note", message: "This computer shares in this swarm already." }),
  );
  expect(again.last).toMatchObject({ ok: true, adopted: true, peerId: joined.last.peerId });
});

test("one that finishes in the middle of an answer through all of them lets it become whole; then its blocks are named", async () => {
  const before = await ask(QUESTION);
  const running = start([...asking(), ...story(before)]);
  await running.waitFor(({ event }) => event === "delta");
  const finishing = start(["stop", "--finish"]);
  await finishing.waitFor(({ message }) => /on (its|their) way, at most until/.test(String(message)));

  const ended = await running.ended;
  expect(outcome(ended)).toEqual(outcome(undisturbed));
  expect(route(ended)).toEqual(route(before));
  expect(Object.keys(route(ended))).toEqual(["0-9", "10-19", "20-29"]);
  expect((await finishing.ended).last).toMatchObject({
    ...{ ok: true, announcedOffline: true, forced: false, exitCode: 0 },
    message: "Finished: every answer came to its end. Peers were told.",
  });
  for (const other of [first, second]) {
    await other.until("told of it", ({ glance }) => JSON.stringify(gapsOf(glance?.online ?? [])) === LAST_PART);
  }
  const { last } = await ask(QUESTION);
  expect(last).toMatchObject({ ok: false, code: "missing-blocks", message: expect.stringContaining("20-29") });
});
