import { execFile } from "node:child_process";
import { mkdirSync } from "node:fs";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { cpus, tmpdir, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { ask, stopGeneration, type Answer, type AskOptions } from "../src/lib/ask/ask";
import { ensureAskEnvironment } from "../src/lib/ask/ask-environments";
import { ConversationStore } from "../src/lib/ask/conversations/store";
import type { EngineChoice } from "../src/lib/ask/engine-choice";
import { ensureLocalModel } from "../src/lib/ask/local-model-files";
import { findLocalModel } from "../src/lib/ask/local-models";
import { openEngine, openSurroundings } from "../src/lib/context";
import { defaultModel } from "../src/lib/models";
import { share } from "../src/lib/sharing/share";
import { stopSharing } from "../src/lib/sharing/stop";
import { BareProcess, type BareAnswer } from "./bench/bare-process";
import { limitedFigures, UNKNOWN_CAUSE, type LimitedFigure } from "./bench/limited-figures";
import { markdownTable, writeSection } from "./bench/section";

/**
 * What asking costs, as JSON on stdout: `npm run bench:ask`. Each figure stands beside the engine's own library in a bare
 * Python process without HTTP, with the same file, settings and prompt, in turn within the same run. It uses a home folder
 * and an instance of its own, and needs Docker for the swarm.
 */

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const HOME = join(ROOT, "test-results", "bench-home");
const HEADING = "## Asking";
const PAIRS = 10;
const TURNS = 20;
const ASKS = 200;
const STORY = "Write a long story about a lighthouse keeper and the sea.";
const TOKENS = 128;
/** Why a figure passes its limit, by its path in the report: what was found out, and not a guess. */
const CAUSES: Record<string, string> = {
  "thisComputer.warm.decodingSlowdown":
    "Both cores of this machine compute an answer, and the ask server's event loop and the client take 21 ms of " +
    "processor time for each second of it: what stops one core stops the other as well. With one core left to them " +
    "(one thread for computing) the figure is 1.001. The pairs scatter from 0.93 to 1.11.",
  "swarm.stop.milliseconds":
    "The word comes just after a step has begun, so all of that step is waited for. After it the engine takes 2 to 4 ms " +
    "to put its session by for the next question, and 2 ms go for the end's record, the settings and the way back; " +
    "the limit leaves 1 ms for all of this.",
};
const ANSWER_ENV = { PYTHONPATH: join(ROOT, "python") };

const env = { ...process.env, TORBIZ_HOME: HOME, TORBIZ_INSTANCE: "bench" };
mkdirSync(HOME, { recursive: true, mode: 0o700 });
const surroundings = openSurroundings({ runtimeFiles: ROOT, env });
const store = new ConversationStore(surroundings.paths.conversations);

const note = (text: string) => void process.stderr.write(`${text}\n`);
const milliseconds = (seconds: number) => Math.round(seconds * 10_000) / 10;
const round = (value: number) => Math.round(value * 1_000) / 1_000;

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low = NaN, high = NaN] = [sorted[sorted.length % 2 === 1 ? middle : middle - 1], sorted[middle]];
  return (low + high) / 2;
}

async function timed<T>(work: () => Promise<T>): Promise<{ seconds: number; value: T }> {
  const started = performance.now();
  const value = await work();
  return { seconds: (performance.now() - started) / 1_000, value };
}

type Asked = Omit<AskOptions, "surroundings" | "conversation" | "choice"> & { conversation?: string };

/** Asks greedily; in a new conversation unless told otherwise. */
async function put(choice: EngineChoice, options: Asked, maxTokens = TOKENS): Promise<Answer> {
  const conversation = options.conversation ?? (await store.create());
  return ask({ surroundings, choice, ...options, conversation, sampling: { temperature: 0, maxTokens } });
}

interface Pair {
  ours: Answer;
  bare: BareAnswer;
}

/** The same question to both in turn, the first of each pair in turn: what disturbs one disturbs the other. */
async function pairs(choice: EngineChoice, bare: BareProcess, prompt: string): Promise<Pair[]> {
  const messages = [{ role: "user", content: prompt }];
  const found: Pair[] = [];
  for (let done = -1; done < PAIRS; done += 1) {
    const ours = () => put(choice, { prompt });
    const theirs = () => bare.ask({ messages, maxTokens: TOKENS });
    const pair =
      done % 2 === 0
        ? { ours: await ours(), bare: await theirs() }
        : await theirs().then(async (value) => ({ bare: value, ours: await ours() }));
    if (pair.ours.text !== pair.bare.text) throw new Error("The answers differ: the settings are not the same.");
    // The first pair fills caches.
    if (done >= 0) found.push(pair);
  }
  return found;
}

function comparison(found: readonly Pair[]) {
  return {
    firstTokenMilliseconds: milliseconds(median(found.map(({ ours }) => ours.firstTokenSeconds))),
    bareFirstTokenMilliseconds: milliseconds(median(found.map(({ bare }) => bare.firstTokenSeconds))),
    tokensPerSecond: round(median(found.map(({ ours }) => ours.tokensPerSecond))),
    bareTokensPerSecond: round(median(found.map(({ bare }) => bare.tokensPerSecond))),
    // Of each pair, as what else the machine does changes from one to the next.
    firstTokenAddedMilliseconds: milliseconds(
      median(found.map(({ ours, bare }) => ours.firstTokenSeconds - bare.firstTokenSeconds)),
    ),
    decodingSlowdown: round(median(found.map(({ ours, bare }) => bare.tokensPerSecond / ours.tokensPerSecond))),
  };
}

/**
 * First token at turn 20 of a conversation against turn 2. Three of them, as one pause of the machine decides one turn.
 *
 * @param bare is asked each turn, too, where it keeps what it has read of a conversation
 */
async function conversation(choice: EngineChoice, bare?: BareProcess) {
  const runs: { ours: number[]; bare: number[] }[] = [];
  for (let run = 0; run < 3; run += 1) {
    const id = await store.create();
    const messages: { role: string; content: string }[] = [];
    const times: (typeof runs)[number] = { ours: [], bare: [] };
    for (let turn = 1; turn <= TURNS; turn += 1) {
      const prompt = `This is question ${turn}: name one thing that is found at sea, other than those before.`;
      const answer = await put(choice, { prompt, conversation: id }, 16);
      times.ours.push(answer.firstTokenSeconds);
      messages.push({ role: "user", content: prompt });
      if (bare) times.bare.push((await bare.ask({ messages, maxTokens: 16 })).firstTokenSeconds);
      messages.push({ role: "assistant", content: answer.text });
    }
    runs.push(times);
  }
  const grown = (who: "ours" | "bare") => {
    const at = (turn: number) => runs.map((times) => times[who][turn - 1] ?? NaN);
    const growths = runs.map((times) => (times[who][TURNS - 1] ?? NaN) / (times[who][1] ?? NaN));
    return {
      turn2: milliseconds(median(at(2))),
      turn20: milliseconds(median(at(TURNS))),
      growth: round(median(growths)),
    };
  };
  const { turn2, turn20, growth } = grown("ours");
  const alone = bare && grown("bare");
  return {
    turn2Milliseconds: turn2,
    turn20Milliseconds: turn20,
    growth,
    limitGrowth: 1.5,
    ...(alone && {
      bareTurn2Milliseconds: alone.turn2,
      bareTurn20Milliseconds: alone.turn20,
      bareGrowth: alone.growth,
    }),
  };
}

/** How long a word to stop and its answer take where there is nothing to stop. */
async function roundTrip(): Promise<number> {
  const times: number[] = [];
  for (let run = 0; run < 20; run += 1) times.push((await timed(() => stopGeneration(surroundings, "g-none"))).seconds);
  return median(times);
}

/** From the word to stop until the server says that the engine is idle, and how long the steps before it took. */
async function stopWhileDecoding(choice: EngineChoice): Promise<{ seconds: number; stepSeconds: number }> {
  const times: number[] = [];
  const steps: number[] = [];
  for (let run = 0; run < 5; run += 1) {
    const stop = new AbortController();
    let pieces = 0;
    let firstAt = 0;
    let saidAt = 0;
    const answer = await put(
      choice,
      {
        prompt: STORY,
        stop: stop.signal,
        onDelta: () => {
          pieces += 1;
          if (pieces === 1) firstAt = performance.now();
          if (pieces !== 10) return;
          saidAt = performance.now();
          stop.abort();
        },
      },
      400,
    );
    if (answer.reason !== "stopped")
      throw new Error(`The answer ended before it was stopped: ${answer.reason} after ${pieces} pieces.`);
    times.push((performance.now() - saidAt) / 1_000);
    steps.push((saidAt - firstAt) / 9_000);
  }
  return { seconds: median(times), stepSeconds: median(steps) };
}

/**
 * The same while a long prompt is read: right after its fourth micro-batch. The fifth is what a stop waits for, and the
 * limit is what that one takes when nobody stops it, and the way there and back.
 */
async function stopWhileReading(choice: EngineChoice, microBatchTokens: number) {
  const [times, steps]: [number[], number[]] = [[], []];
  for (let run = 0; run < 10; run += 1) {
    const stopsAt = run % 2 === 0 ? 4 : 5;
    const stop = new AbortController();
    const seen: number[] = [];
    const answer = await put(choice, {
      // Nothing of it is in the prompt cache.
      prompt: `${run} `.repeat(1_500),
      stop: stop.signal,
      onProgress: ({ stage, progress }) => {
        if (stage !== "reading-prompt" || !progress) return;
        seen.push(performance.now());
        if (seen.length === stopsAt) stop.abort();
      },
    });
    if (answer.reason !== "stopped" || answer.text !== "") throw new Error("The prompt was read before the stop.");
    const [fourth, fifth] = [seen[3], seen[4]];
    if (fourth === undefined) throw new Error("No progress was told.");
    if (stopsAt === 4) times.push((performance.now() - fourth) / 1_000);
    else if (fifth !== undefined) steps.push((fifth - fourth) / 1_000);
  }
  const trip = await roundTrip();
  return {
    milliseconds: milliseconds(median(times)),
    microBatchMilliseconds: milliseconds(median(steps)),
    roundTripMilliseconds: milliseconds(trip),
    limitMilliseconds: milliseconds(median(steps) + trip),
    microBatchTokens,
  };
}

interface ServerState {
  pid: number;
  rssKilobytes: number;
  descriptors: number;
}

async function askServers(home = HOME): Promise<number[]> {
  const { stdout } = await promisify(execFile)("ps", ["-eo", "pid=,args="]);
  return stdout
    .split("\n")
    .filter((line) => line.includes("torbiz.ask_server") && line.includes(home))
    .map((line) => Number.parseInt(line, 10));
}

async function serverState(): Promise<ServerState> {
  const [pid, ...others] = await askServers();
  if (!pid || others.length > 0) throw new Error("There is not exactly one ask server.");
  const { stdout } = await promisify(execFile)("ps", ["-o", "rss=", "-p", String(pid)]);
  const descriptors = (await readdir(`/proc/${pid}/fd`)).length;
  return { pid, rssKilobytes: Number(stdout), descriptors };
}

/** Many questions in a row leave the server as it was. */
async function manyAsks(choice: EngineChoice) {
  const one = (index: number) => put(choice, { prompt: `What is ${index} and ${index + 1}?` }, 8);
  // The prompt cache and the allocator reach their size first.
  for (let index = 0; index < 30; index += 1) await one(index);
  const before = await serverState();
  for (let index = 30; index < 30 + ASKS; index += 1) await one(index);
  const after = await serverState();
  return {
    asks: ASKS,
    sameServer: before.pid === after.pid,
    memoryGrowth: round(after.rssKilobytes / before.rssKilobytes),
    limitMemoryGrowth: 1.05,
    descriptorsLeft: after.descriptors - before.descriptors,
    limitDescriptorsLeft: 0,
  };
}

async function endAskServers(home = HOME): Promise<void> {
  for (const pid of await askServers(home)) {
    try {
      process.kill(pid, "SIGTERM");
    } catch {
      continue; // It left meanwhile.
    }
    while (await askServers(home).then((pids) => pids.includes(pid))) await sleep(20);
  }
}

interface Bare {
  python: string;
  model: string;
}

const startBare = ({ python, model }: Bare) =>
  BareProcess.start(python, [join(ROOT, "python/tests/bare_llama.py"), model], ANSWER_ENV);

/** Nothing runs: from the question to its first text, and what import and load alone take in a new process. */
async function cold(choice: EngineChoice, bare: Bare) {
  const found: { ours: number; bare: number; first: number }[] = [];
  for (let run = 0; run < PAIRS; run += 1) {
    await endAskServers();
    const prompt = "What is the capital of France?";
    const asked = performance.now();
    let first = 0;
    await put(choice, { prompt, onDelta: () => (first ||= performance.now() - asked) });
    const alone = await startBare(bare);
    const answer = await alone.ask({ messages: [{ role: "user", content: prompt }], maxTokens: TOKENS });
    await alone.end();
    const { importSeconds = NaN, loadSeconds = NaN } = alone.ready;
    found.push({ ours: first / 1_000, bare: importSeconds + loadSeconds, first: answer.firstTokenSeconds });
  }
  return {
    firstTokenMilliseconds: milliseconds(median(found.map(({ ours }) => ours))),
    bareImportAndLoadMilliseconds: milliseconds(median(found.map((each) => each.bare))),
    bareFirstTokenMilliseconds: milliseconds(median(found.map((each) => each.first))),
    addedMilliseconds: milliseconds(median(found.map((each) => each.ours - each.bare))),
    limitAddedMilliseconds: 400,
  };
}

/**
 * The first command of somebody new, in an empty home on a computer without Docker: Python environment, starter and ask
 * server are made, and it answers. Downloads come from where pip gets its packages.
 */
async function newcomer() {
  const home = await mkdtemp(join(tmpdir(), "newcomer-"));
  const settings = { ...process.env, TORBIZ_HOME: home, DOCKER_HOST: `unix://${join(home, "none.sock")}` };
  try {
    const command = [join(ROOT, "bin/torbiz.mjs"), "quickstart", "--json"];
    const { value, seconds } = await timed(() => promisify(execFile)(process.execPath, command, { env: settings }));
    const last = JSON.parse(value.stdout.trimEnd().split("\n").at(-1) ?? "") as { answer?: string };
    if (!last.answer) throw new Error("There was no answer.");
    return { seconds: round(seconds), limitSeconds: 60 };
  } finally {
    await endAskServers(home);
    await rm(home, { recursive: true, force: true });
  }
}

/** What others ship: a process for each question, which imports, loads and answers. */
async function processPerPrompt(choice: EngineChoice, python: string) {
  const prompt = "What is the capital of France?";
  const script = await readFile(join(ROOT, "test/e2e/transformers-answer.py"), "utf8");
  const folder = join(surroundings.paths.models, defaultModel.id, "petals");
  const found: { ours: number; theirs: number }[] = [];
  for (let run = 0; run < 3; run += 1) {
    const theirs = await timed(() => promisify(execFile)(python, ["-c", script, folder, prompt]));
    const ours = await timed(() => put(choice, { prompt }));
    const [{ answer }] = JSON.parse(theirs.value.stdout) as [{ answer: string }];
    if (answer !== ours.value.text) throw new Error("The answers differ.");
    found.push({ ours: ours.seconds, theirs: theirs.seconds });
  }
  return {
    what: "the whole answer: transformers in a process of its own against a warm ask, same weights and prompt",
    theirSeconds: round(median(found.map(({ theirs }) => theirs))),
    seconds: round(median(found.map(({ ours }) => ours))),
    timesFaster: round(median(found.map(({ ours, theirs }) => theirs / ours))),
  };
}

async function throughSwarm(python: string, coldSeconds: number) {
  const context = await openEngine(surroundings);
  const port = 31_399;
  const shared = await timed(() => share(context, { swarm: { kind: "private" }, port, onProgress: () => undefined }));
  const { addresses } = shared.value.status;
  const choice: EngineChoice = { kind: "swarm", model: defaultModel.id, swarm: { kind: "private" } };
  try {
    const folder = join(surroundings.paths.models, defaultModel.id, "petals");
    const args = [join(ROOT, "python/tests/bare_swarm.py"), folder, defaultModel.dhtPrefix, ...addresses];
    const bare = await BareProcess.start(python, args, ANSWER_ENV);
    note("swarm: pairs");
    const compared = comparison(await pairs(choice, bare, STORY));
    await bare.end();
    note("swarm: conversation, stop");
    const stop = await stopWhileDecoding(choice);
    const trip = await roundTrip();
    return {
      decoding: { ...compared, limitDecodingSlowdown: round(1 / 0.95) },
      conversation: await conversation(choice),
      stop: {
        milliseconds: milliseconds(stop.seconds),
        stepMilliseconds: milliseconds(stop.stepSeconds),
        roundTripMilliseconds: milliseconds(trip),
        limitMilliseconds: milliseconds(stop.stepSeconds + trip),
      },
      coldAskAgainstShare: {
        what: "from nothing to the first token on this computer, against a share to ONLINE with image and model there",
        shareSeconds: round(shared.seconds),
        coldSeconds: round(coldSeconds),
        timesFaster: round(shared.seconds / coldSeconds),
      },
    };
  } finally {
    await stopSharing(context, {});
  }
}

type Report = Awaited<ReturnType<typeof measure>>;

/** What passes its limit, and why. */
function missedIn(report: Report): (LimitedFigure & { cause: string })[] {
  return limitedFigures(report)
    .filter(({ figure, limit }) => !(figure <= limit))
    .map((each) => ({ ...each, cause: CAUSES[each.path] ?? UNKNOWN_CAUSE }));
}

/** Puts the figures in the place of those of the run before. */
async function writeReport({
  machine,
  model,
  thisComputer,
  swarm,
  missed,
}: Report & { missed: ReturnType<typeof missedIn> }): Promise<void> {
  const { newcomer: first, warm, cold: coldAsk, conversation: talk, stop, manyAsks: many } = thisComputer;
  const { processPerPrompt: alone } = thisComputer;
  const ms = (value: number) => `${value} ms`;
  const tokens = (value: number) => value.toFixed(1);
  const grown = ({ turn20Milliseconds, growth, limitGrowth, turn2Milliseconds, bareGrowth }: typeof talk): string[] => [
    `${ms(turn20Milliseconds)}: ${growth} times`,
    `${limitGrowth} times`,
    [`${ms(turn2Milliseconds)}: turn 2`, ...(bareGrowth ? [`the bare library's grows ${bareGrowth} times`] : [])].join(
      "; ",
    ),
  ];
  const speed = (each: ReturnType<typeof comparison>, limit: number): string[] => [
    `${tokens(each.tokensPerSecond)} tokens/s: slower ${each.decodingSlowdown} times`,
    `${limit} times`,
    `${tokens(each.bareTokensPerSecond)} tokens/s: the bare library`,
  ];
  const rows = [
    [
      "This computer: first token, warm",
      `${ms(warm.firstTokenMilliseconds)}: ${ms(warm.firstTokenAddedMilliseconds)} more`,
      `${ms(warm.limitFirstTokenAddedMilliseconds)} more`,
      `${ms(warm.bareFirstTokenMilliseconds)}: bare xllamacpp`,
    ],
    ["This computer: decoding", ...speed(warm, warm.limitDecodingSlowdown)],
    [
      "This computer: from an empty home to the first answer",
      `${first.seconds} s`,
      `${first.limitSeconds} s`,
      "environment and starter are made, no Docker",
    ],
    [
      "This computer: first token when nothing runs",
      `${ms(coldAsk.firstTokenMilliseconds)}: ${ms(coldAsk.addedMilliseconds)} more`,
      `${ms(coldAsk.limitAddedMilliseconds)} more`,
      `${ms(coldAsk.bareImportAndLoadMilliseconds)}: import and load`,
    ],
    ["This computer: first token at turn 20", ...grown(talk)],
    ["This computer: stop while decoding", ms(stop.decoding.milliseconds), ms(stop.decoding.limitMilliseconds), ""],
    [
      "This computer: stop while the prompt is read",
      ms(stop.reading.milliseconds),
      ms(stop.reading.limitMilliseconds),
      `a micro-batch of ${stop.reading.microBatchTokens} tokens, and the way there and back`,
    ],
    [
      `This computer: memory after ${many.asks} asks, one server`,
      `${many.memoryGrowth} times, ${many.descriptorsLeft} descriptors more`,
      `${many.limitMemoryGrowth} times`,
      "before them",
    ],
    [
      "This computer: a whole short answer",
      `${alone.seconds} s`,
      "",
      `${alone.theirSeconds} s: a process with transformers for each, ${alone.timesFaster} times as long`,
    ],
    ["Swarm: decoding", ...speed(swarm.decoding, swarm.decoding.limitDecodingSlowdown)],
    ["Swarm: first token at turn 20", ...grown(swarm.conversation)],
    [
      "Swarm: stop",
      ms(swarm.stop.milliseconds),
      ms(swarm.stop.limitMilliseconds),
      "one step, and the way there and back",
    ],
    [
      "This computer: first token when nothing runs",
      `${swarm.coldAskAgainstShare.coldSeconds} s`,
      "",
      `${swarm.coldAskAgainstShare.shareSeconds} s: a share to ONLINE, ${swarm.coldAskAgainstShare.timesFaster} times as long`,
    ],
  ];
  const body = `\`npm run bench:ask\` wrote this section and [ask-benchmark.json](ask-benchmark.json): medians, of ${PAIRS} pairs taken in turn where there
is a bare library. Machine: ${machine}. Model: ${model}.

${markdownTable([["What", "Measured", "Limit", "Baseline in the same run"], ...rows])}

${missed.length === 0 ? "All limits are kept." : missed.map(({ path, cause }) => `- \`${path}\`: ${cause}`).join("\n")}`;
  await writeSection(join(ROOT, "docs/benchmarks.md"), HEADING, body);
}

async function measure() {
  const local = await ensureAskEnvironment(surroundings, "local");
  const swarm = await ensureAskEnvironment(surroundings, "swarm");
  const model = findLocalModel(defaultModel.id);
  const path = await ensureLocalModel({ surroundings, model, environment: local });
  const choice: EngineChoice = { kind: "this", model: model.id };
  try {
    note("this computer: from nothing");
    const first = await newcomer();
    note("this computer: cold");
    const coldAsk = await cold(choice, { python: local.python, model: path });
    note("this computer: pairs");
    // Both begin with nothing read: tokens that were read in other company differ in their last digits, and so may answers.
    await endAskServers();
    const bare = await startBare({ python: local.python, model: path });
    const compared = comparison(await pairs(choice, bare, STORY));
    note("this computer: conversation, stop, process per prompt, many asks");
    const talk = await conversation(choice, bare);
    await bare.end();
    const decodingStop = await stopWhileDecoding(choice);
    const readingStop = await stopWhileReading(choice, bare.ready.microBatch ?? NaN);
    const alone = await processPerPrompt(choice, swarm.python);
    const many = await manyAsks(choice);
    await endAskServers();
    const throughPeers = await throughSwarm(swarm.python, coldAsk.firstTokenMilliseconds / 1_000);
    await endAskServers();
    return {
      machine: `${cpus().length} x ${cpus()[0]?.model ?? "?"}, ${Math.round(totalmem() / 1e9)} GB, ${process.platform}, Node ${process.versions.node}`,
      model: `${model.title}, F16`,
      pairs: PAIRS,
      thisComputer: {
        warm: { ...compared, limitFirstTokenAddedMilliseconds: 10, limitDecodingSlowdown: round(1 / 0.97) },
        cold: coldAsk,
        conversation: talk,
        stop: {
          decoding: { milliseconds: milliseconds(decodingStop.seconds), limitMilliseconds: 200 },
          reading: readingStop,
        },
        manyAsks: { ...many, serversLeft: (await askServers()).length, limitServersLeft: 0 },
        processPerPrompt: alone,
        newcomer: first,
      },
      swarm: throughPeers,
    };
  } finally {
    await endAskServers();
  }
}

const measured = await measure();
const report = { ...measured, missed: missedIn(measured) };
process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
await writeFile(join(ROOT, "docs/ask-benchmark.json"), `${JSON.stringify(report, null, 2)}\n`);
await writeReport(report);
