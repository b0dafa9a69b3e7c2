import type { EngineContext } from "../../src/lib/context";
import { LABELS } from "../../src/lib/names";
import { inviteTo } from "../../src/lib/sharing/share-invite";
import { ensureStarterModel } from "../../src/lib/sharing/starter";
import { parseSwarm } from "../../src/lib/sharing/swarm";
import { type Computer, Neighbourhood } from "../e2e/computers";
import { type Ended, exec, openTestBed, outcome, type Running, start, tokensThatLast, torbiz } from "../e2e/torbiz";
import { builtExtension } from "./built-extension";
import { type CommandView, RaycastHost } from "./raycast";
import { commandEnv, eventually, LONG, ONLINE } from "./real-share";

/**
 * The built Share GPU in a swarm of several computers, with the real engine, the real Petals and the real model: somebody's,
 * with an address of its own, which begins the swarm and has the first blocks; another's behind a router, which has the
 * last; and this one, which joins by an invite and takes the rest. A further program asks. One swarm serves all of it; in
 * the end it is what Petals' public network is for people.
 */

const FIRST = 12;
const LAST = { start: 20, end: 30 };
const WHOLE = "Every block is served.";
const OURS_MISSING = "Blocks 12 to 19 are missing.";
const LAST_MISSING = "Blocks 20 to 29 are missing.";
const QUESTION = "What is the capital of France?";
const STORY = "Write a very long story about the sea.";

let context: EngineContext;
let docker: string;
let neighbourhood: Neighbourhood;
let theirs: Computer;
let atHome: Computer;
/** As its owner copies it. */
let invite: string;
let host: RaycastHost;
/** Open from the first test to the last, as a window that somebody leaves open. */
let view: CommandView;
/** To the question; the conversation goes on with the story. */
let answered: Ended;
/** The story in that conversation, by all of them, while nothing happens. */
let undisturbed: Ended;

beforeAll(async () => {
  ({ context, docker } = await openTestBed());
  const { engine, names, paths, facts } = context;
  expect((await torbiz(["build"])).code).toBe(0);
  await ensureStarterModel({ engine, names, paths, rootless: facts.rootless });
  neighbourhood = new Neighbourhood(context, docker);
  await neighbourhood.open();
  theirs = await neighbourhood.start(neighbourhood.lan, 11, { kind: "private" }, { start: 0, end: FIRST });
  host = await RaycastHost.open({ extension: await builtExtension(), env: commandEnv() });
  invite = inviteTo(context, await theirs.online());
  atHome = await neighbourhood.start(neighbourhood.home, 13, parseSwarm([invite]), LAST);
  await atHome.online();
});

afterAll(async () => {
  await host?.close();
  await torbiz(["stop", "--now"]);
  await neighbourhood?.close();
});

const items = () => view.items().map(({ title, subtitle }) => `${title}: ${subtitle}`);

const startedAt = async () => (await context.engine.inspect(context.names.container))?.State.StartedAt;

/** A real client of Petals, which has the invite; its answer is on its way. */
async function answering(tokens: number, before?: Ended): Promise<Running> {
  const conversation = before ? ["--conversation", String(before.last.conversation)] : [];
  const asking = ask(STORY, "--max-tokens", String(tokens), ...conversation);
  await asking.waitFor(({ event }) => event === "delta");
  return asking;
}

function ask(...words: string[]): Running {
  const swarm = ["--engine", "swarm", "--swarm", invite, "--allow-strangers"];
  return start(["ask", ...swarm, "--temperature", "0", ...words]);
}

async function peerOf(computer: Computer): Promise<string> {
  return String((await computer.status()).peerId);
}

async function shareAgain(): Promise<void> {
  await view.waitFor("Last Choice", LONG);
  await view.press("enter");
  await view.waitFor(ONLINE, LONG);
}

async function told(title: string): Promise<void> {
  await eventually(() => expect(host.toasts.map((toast) => toast.title)).toContain(title));
}

test("an invite that is pasted is joined with the blocks that are missing; then all are served, and a question crosses all", async () => {
  view = await host.launch("share-gpu");
  await view.run("Enter Invite", { item: "Join by Invite…" });
  await view.type("invite", invite);
  await view.submit();
  await view.waitFor("This computer helps most with 8 blocks: 12 to 19.", LONG);
  expect(view.text()).toContain(OURS_MISSING);
  await view.press("enter");
  await view.waitFor(/Stage \d of 7/, LONG);
  await view.waitFor(ONLINE, LONG);
  expect(view.text()).toContain("Blocks: 12 to 19, 8 of 30");

  answered = await ask(QUESTION).ended;
  expect(answered.last).toMatchObject({ ok: true, answer: "The capital of France is Paris." });
  expect(answered.last.route).toEqual([
    { peer: await peerOf(theirs), blocks: [0, 11] },
    { peer: (await torbiz(["status"])).last.peerId, blocks: [12, 19] },
    { peer: await peerOf(atHome), blocks: [20, 29] },
  ]);
  await view.select("Swarm");
  await view.waitFor(WHOLE, LONG);
  expect(view.text()).toContain("0 ▒▒▒▒▒▒▒▒▒▒▒▒████████▒▒▒▒▒▒▒▒▒▒ 29");
  expect(items()).toContain("Swarm: 2 peers");
});

test("the link to its own swarm says that this computer is in it, which others can reach", async () => {
  await view.run("Copy Invite Link");
  await host.openDeeplink(String(host.clipboard.text));
  view = host.window ?? view;
  await view.waitFor("This computer shares in this swarm already.", LONG);
  expect(view.text()).toContain(WHOLE);
  expect(view.text()).not.toContain("Share Block");
  await view.back();
  await view.select("Peer");
  expect(view.text()).toContain("Reachable: Directly");
});

test("while another's network is cut, the open view says which blocks are missing; after it they are back without a restart", async () => {
  const started = await startedAt();
  await view.select("Swarm");
  const mend = await neighbourhood.cut([atHome]);
  await view.waitFor(LAST_MISSING, LONG);
  expect(view.text()).toContain("0 ▒▒▒▒▒▒▒▒▒▒▒▒████████·········· 29");
  expect(items()).toContain("Swarm: 1 peer");
  await mend();
  await view.waitFor(WHOLE, LONG);
  expect(items()).toContain("Swarm: 2 peers");
  expect(await startedAt()).toBe(started);
});

test("an answer goes on when a computer dies of which another has the blocks; the open map shows who died, and is back", async () => {
  const started = await startedAt();
  const tokens = tokensThatLast(answered);
  undisturbed = await (await answering(tokens, answered)).ended;
  expect(undisturbed.last).toMatchObject({ ok: true, tokens });
  const spare = await neighbourhood.start(neighbourhood.lan, 14, parseSwarm([invite]), LAST);
  await spare.online();
  await view.run("Show Swarm Map");
  await view.waitFor("Map · 3 peers", LONG);
  expect(items()).toEqual([
    "Map: 3 peers",
    expect.stringMatching(/^Blocks 0 to 11: …\w{8}$/),
    "Blocks 12 to 19: This Computer",
    expect.stringMatching(/^Blocks 20 to 29: …\w{8}$/),
    expect.stringMatching(/^Blocks 20 to 29: …\w{8}$/),
  ]);
  // A conversation goes on by the peers that know it, for a while.
  const before = await ask(QUESTION).ended;
  const last = (before.last.route as { peer: string }[]).at(-1)?.peer;
  const [first, second] = last === (await peerOf(spare)) ? [spare, atHome] : [atHome, spare];
  const asking = await answering(tokens, before);
  await first.kill();
  await asking.waitFor(({ stage }) => stage === "recovering");
  expect(outcome(await asking.ended)).toEqual(outcome(undisturbed));
  await view.waitFor("Map · 2 peers", LONG);
  expect(view.text()).toContain(WHOLE);

  const inVain = await answering(1_000);
  await second.kill();
  expect((await inVain.ended).last).toMatchObject({ ok: false, code: "missing-blocks" });
  await view.waitFor(LAST_MISSING, LONG);
  expect(view.text()).toContain("Another computer helps most with 10 blocks: 20 to 29.");
  await context.engine.start(atHome.id);
  await view.waitFor(WHOLE, LONG);
  expect(items()).toContain("Map: 2 peers");
  await view.back();
  expect(await startedAt()).toBe(started);
});

test("Finish and Stop says what it waits for, the answer arrives whole, and the share ends by itself", async () => {
  const asking = await answering(tokensThatLast(answered), await ask(QUESTION).ended);
  await view.run("Finish and Stop");
  await view.select("Status");
  await view.waitFor(/\*\*Finishing\*\*: 1 answer on its way, at most until \d\d:\d\d\./);
  // By a look of its own at the container.
  await eventually(() =>
    expect(view.toast()?.title).toMatch(/^Finishing: 1 answer on its way, at most until \d\d:\d\d$/),
  );
  expect(outcome(await asking.ended)).toEqual(outcome(undisturbed));
  // At once, as somebody does who has changed their mind: it waits for the last of the finish.
  await shareAgain();
  await told("Finished: every answer came to its end. Peers were told.");
});

test("an answer without end is broken off at the limit of a finish", async () => {
  const asking = await answering(2_000);
  const container = await context.engine.inspect(context.names.container);
  await context.engine.writeFile(String(container?.Id), "/cache", "finish-seconds", "20"); // the seeder's own are 300
  await view.run("Finish and Stop");
  await view.waitFor("Status · Finishing", LONG);
  await asking.waitFor(({ stage }) => stage === "recovering");
  expect((await asking.ended).last).toMatchObject({ ok: false, code: "missing-blocks" });
  await shareAgain();
  await told("Finished: the time was over, and 1 answer was broken off. Peers were told.");
});

test("Stop Now ends a finish at once", async () => {
  const asking = await answering(1_000);
  await view.run("Finish and Stop");
  const tooEarly = asking.ended.then(({ last }) =>
    Promise.reject(new Error(`It ended before: ${JSON.stringify(last)}`)),
  );
  await Promise.race([view.waitFor("Status · Finishing", LONG), tooEarly]);
  tooEarly.catch(() => undefined);
  await view.run("Stop Now");
  await view.waitFor("Last Choice", LONG);
  expect(host.alerts.at(-1)).toMatchObject({ title: "Stop Now?", message: "Answers on their way break off." });
  await told("Killed at once. Peers were told.");
  expect(await context.engine.inspect(context.names.container)).toBeUndefined();
  expect((await asking.ended).last).toMatchObject({ ok: false, code: "missing-blocks" });
});

describe("the public network, which begins here with the first of these computers", () => {
  beforeAll(async () => {
    const { image } = context.names;
    await exec(docker, ["tag", image, `${image}-kept`]);
    const [first] = (await theirs.status()).addresses.filter((address) => address.includes(theirs.address));
    const constants = "/opt/torbiz/venv/lib/python3.11/site-packages/petals/constants.py";
    const build = exec(docker, ["build", "--quiet", "--tag", image, "-"]);
    build.child.stdin?.end(
      [
        `FROM ${image}`,
        "USER root",
        `RUN echo 'PUBLIC_INITIAL_PEERS = ["${first}"]' >>${constants} && python -m compileall -qf ${constants}`,
        "USER 10001:10001",
        // It still serves, and isn't taken for the one that it is made of.
        `LABEL ${LABELS.inputs}="other first peers"`,
      ].join("\n"),
    );
    await build;
  });

  afterAll(async () => {
    const { image } = context.names;
    await torbiz(["stop", "--now"]);
    await exec(docker, ["rmi", image]);
    await exec(docker, ["tag", `${image}-kept`, image]);
    await exec(docker, ["rmi", `${image}-kept`]);
  });

  test("behind a router it is online through a relay, and says what that means", async () => {
    await neighbourhood.closeWayIn();
    await view.run("Share with Options…");
    await view.type("swarm", "public");
    await view.submit();
    await view.waitFor(/Stage \d of 7/, LONG);
    await view.waitFor(ONLINE, LONG);
    expect(view.text()).toContain("Swarm: Public Petals Network");
    await view.select("Peer");
    expect(view.text()).toContain("Reachable: Through Relays");
    expect(view.text()).toMatch(new RegExp(`/${theirs.address}/tcp/\\d+/p2p/\\w+/p2p-circuit/p2p/`));
    await view.waitFor("- Reached Through Relays", LONG);
    await view.select("Reached Through Relays");
    expect(view.text()).toContain("To be reached directly, forward its port in your router");
    await view.run("Stop Sharing");
    await view.waitFor("Last Choice", LONG);
  });

  test("where nobody answers it ends in time and says so, and one's own swarm is a step away", async () => {
    await theirs.kill();
    await view.press("enter");
    await view.waitFor("**The public network is silent**", LONG);
    expect(view.text()).toContain("None of the first peers of Petals' public network answered.");
    expect(view.text()).toContain("Start a swarm of your own and invite others, or try again later.");
    await view.run("Start Your Own Swarm…");
    await view.waitFor(ONLINE, LONG);
    expect(host.alerts.at(-1)?.title).toBe("Start Your Own Swarm?");
    expect(view.text()).toContain("Swarm: Private Swarm");
    // Others' gaps are no matter any more.
    expect(view.text()).toContain("Blocks: 0 to 29, all 30");
    await view.run("Copy Invite");
    expect(host.clipboard.text).toMatch(/^torbiz-invite:/);
  });
});
