import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { homedir } from "node:os";
import { fileURLToPath } from "node:url";
import { runAsk } from "./cli/ask";
import { runBuild } from "./cli/build";
import { runCacheList, runCacheRemove } from "./cli/cache";
import {
  runConversationsDelete,
  runConversationsExport,
  runConversationsList,
  runConversationsRename,
  runConversationsShow,
} from "./cli/conversations";
import { runDoctor } from "./cli/doctor";
import { runEngines } from "./cli/engines";
import { runInvite } from "./cli/invite";
import { runJoin } from "./cli/join";
import { runLogs } from "./cli/logs";
import { runModelsList, runModelsPull, runModelsRemove } from "./cli/models";
import { jsonOutput, textOutput } from "./cli/output";
import { runQuickstart } from "./cli/quickstart";
import type { Session } from "./cli/session";
import { runShare } from "./cli/share";
import { runStats } from "./cli/stats";
import { runStatus } from "./cli/status";
import { runStop } from "./cli/stop";
import { runSwarm } from "./cli/swarm";
import { runUninstall } from "./cli/uninstall";
import { openSurroundings } from "./lib/context";
import { toTorbizError, TorbizError, type ErrorCode } from "./lib/errors";
import { redactFailure } from "./lib/failure-details";
import { redactor } from "./lib/redact";
import { findRuntimeFiles } from "./lib/runtime-files";
import { LEVELS } from "./lib/sharing/log-lines";
import { PART_IDS } from "./lib/uninstall";
import { VERSION } from "./lib/version";

const EXIT = { ok: 0, error: 1, usage: 2, interrupted: 130 } as const;
/** Failures of what was typed, wherever it was found out. */
const USAGE_CODES: readonly ErrorCode[] = [
  "usage",
  "port-invalid",
  "blocks-invalid",
  "limit-invalid",
  "swarm-invalid",
  "invite-invalid",
  "address-invalid",
  "prompt-empty",
  "engine-invalid",
  "model-unknown",
  "conversation-unknown",
];
const ROOT = fileURLToPath(new URL("..", import.meta.url));

interface CommonFlags {
  json?: boolean;
  dockerHost?: string;
}

const interruption = new AbortController();

/**
 * Runs one command with everything around it: output, surroundings, Ctrl-C, and failures told in the right form.
 * @param command may return an exit code, where its result is bad news
 */
async function run(flags: CommonFlags, command: (session: Session) => Promise<void | number>): Promise<void> {
  const output = flags.json ? jsonOutput() : textOutput();
  try {
    const surroundings = openSurroundings({
      runtimeFiles: findRuntimeFiles([ROOT]),
      host: flags.dockerHost,
      warn: output.note,
    });
    const interactive = !flags.json && process.stdin.isTTY && process.stderr.isTTY;
    const exitCode = await command({ output, surroundings, signal: interruption.signal, interactive });
    process.exitCode = interruption.signal.aborted ? EXIT.interrupted : (exitCode ?? EXIT.ok);
  } catch (error) {
    const failure = toTorbizError(error);
    output.error(redactFailure(failure, redactor({ env: process.env, home: homedir() })));
    process.exitCode =
      interruption.signal.aborted || failure.code === "interrupted"
        ? EXIT.interrupted
        : USAGE_CODES.includes(failure.code)
          ? EXIT.usage
          : EXIT.error;
  }
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError("It must be a whole number.");
  return Number(text);
}

/** OpenAI's range: beyond it, words are noise. */
function temperature(text: string): number {
  const number = Number(text);
  if (text.trim() === "" || !(number >= 0 && number <= 2)) {
    throw new InvalidArgumentError("It must be a number from 0 to 2.");
  }
  return number;
}

function atLeastOne(text: string): number {
  const number = wholeNumber(text);
  if (number < 1) throw new InvalidArgumentError("It must be at least 1.");
  return number;
}

/** Of an option that may be given more than once. */
function oneMore<Choice extends string>(choices: readonly Choice[]) {
  return (value: string, before?: Choice[]): Choice[] => {
    const chosen = choices.find((choice) => choice === value);
    if (!chosen) throw new InvalidArgumentError(`Allowed are ${choices.join(", ")}.`);
    return [...(before ?? []), chosen];
  };
}

function common(command: Command): Command {
  return command
    .option("--json", "print one JSON object a line, for scripts")
    .option("--docker-host <host>", "the Docker engine: unix:///path, a socket's path, or tcp://host:port");
}

const swarmOption = (text: string) =>
  new Option("--swarm <swarm>", `${text}: private, public, an invite, or a peer's address (repeatable)`).argParser(
    (value: string, before?: string[]) => [...(before ?? []), value],
  );

/** What `share` and `join` have in common. @param usual what is taken where nothing is named */
function sharing(command: Command, usual: { model: string; blocks: string }): Command {
  return common(command)
    .option("--model <id>", `the model to share, or OWNER/NAME of the model hub (default: ${usual.model})`)
    .option(
      "--blocks <blocks>",
      `how many blocks to serve, or which: 4, or 12:16 for 12 to 15 (default: ${usual.blocks})`,
    )
    .option("--port <port>", "TCP port for peers (default: 31330)", wholeNumber)
    .option(
      "--lan [address]",
      "open your own swarm to the local network; or the address or name by which peers reach this computer",
    )
    .option("--cpus <amount>", "processors it may use: 2 or 50% (default: 75%)")
    .option("--memory <amount>", "memory it may use: 6g or 50% (default: 75%)")
    .option("--disk <amount>", "disk for blocks that are fetched and kept: 20g (default: no limit)")
    .option("--no-wait", "return as soon as the container runs");
}

function program(asJson: boolean): Command {
  // Commands take these settings from the one that they are made in.
  const torbiz = new Command("torbiz")
    .exitOverride()
    .configureOutput(asJson ? { writeErr: () => undefined } : {})
    .description("Lend this computer to a peer-to-peer language-model network, and ask models.")
    .version(VERSION)
    .showHelpAfterError("See `torbiz --help`.");

  common(torbiz.command("quickstart"))
    .description("try everything on this computer: build, share, ask through the swarm, stop")
    .option("--prompt <text>", "the question to ask", "What is the capital of France?")
    .option(
      "--set-up",
      "on a Debian-like system as root, install what is missing: Docker, a base image, Python's venv",
      false,
    )
    .action((flags) => run(flags, (session) => runQuickstart(session, flags)));

  sharing(torbiz.command("share"), { model: "the starter model", blocks: "as many as fit" })
    .description("share a model; returns when peers can use it, and goes on in the background")
    .addOption(swarmOption("the swarm to share in"))
    .addOption(new Option("--list", "start nothing: tell the models and how much of each fits").conflicts("check"))
    .option("--check", "start nothing: tell how much of the model fits, and how fast this computer is with it")
    .action((flags) => run(flags, (session) => runShare(session, flags)));

  sharing(torbiz.command("join"), { model: "the invite's, else the starter model", blocks: "those that help most" })
    .description("join somebody's swarm: look at it first, then share what it lacks")
    .argument("<where...>", "an invite, or addresses of peers")
    .option("--check", "start nothing: tell what was found")
    .action((where: string[], flags) => run(flags, (session) => runJoin(session, where, flags)));

  common(torbiz.command("invite"))
    .description("the invite to your swarm, as one line to give to others")
    .action((flags) => run(flags, runInvite));

  common(torbiz.command("status"))
    .description("what is shared now")
    .action((flags) => run(flags, runStatus));

  common(torbiz.command("stats"))
    .description("what this computer has given: sessions, tokens and hours by day")
    .addOption(new Option("--csv", "a line a day, for spreadsheets").default(false).conflicts("json"))
    .action((flags) => run(flags, (session) => runStats(session, flags)));

  common(torbiz.command("swarm"))
    .description("who serves which blocks, what is missing, and what to serve")
    .addOption(swarmOption("the swarm to look at (default: the running share's, else the last used)"))
    .option("--model <id>", "the model (default: the one shared or asked there)")
    .action((flags) => run(flags, (session) => runSwarm(session, flags)));

  common(torbiz.command("logs"))
    .description("the log of the share that runs, or of the last one")
    .option("-f, --follow", "go on as it grows, also when Docker went away and is back", false)
    .option(
      "-n, --lines <n>",
      "how many of the last lines (default: 200, or all that the other options choose)",
      wholeNumber,
    )
    .option("--since <time>", "only from then on: how long ago, such as 10m or 2h, or 2026-01-31T12:00")
    .addOption(new Option("--level <level>", "only what is at least so bad").choices(LEVELS))
    .addOption(new Option("--export <file>", "write it to a new file").conflicts("follow"))
    .action((flags) => run(flags, (session) => runLogs(session, flags)));

  common(torbiz.command("stop"))
    .description("stop sharing; peers are told, the cache stays")
    .addOption(new Option("--now", "kill it at once, without telling peers").default(false).conflicts("finish"))
    .option("--finish", "first let answers on their way come to their end; nothing new begins", false)
    .addOption(
      new Option("--within <minutes>", "how long they may take, with --finish (default: 5)")
        .argParser(atLeastOne)
        .implies({ finish: true }),
    )
    .option("--no-wait", "with --finish, return as soon as it has begun")
    .action((flags) => run(flags, (session) => runStop(session, flags)));

  common(torbiz.command("ask"))
    .description("ask a model; the answer comes as it is made")
    .argument("[prompt]", "the question, or - to read it from stdin; what is piped in beside it is its context")
    .option("--engine <engine>", "this (this computer), swarm, or a server's base URL (default: the one used last)")
    .option("--model <id>", "the model, or the path of a GGUF file (default: the one used last)")
    .addOption(swarmOption("the swarm to ask (default: the running share's, else the last used)"))
    .addOption(
      new Option("--system <text>", "what the model is told before the question").conflicts([
        "continue",
        "conversation",
      ]),
    )
    .option("--max-tokens <n>", "the longest answer", atLeastOne)
    .option("--temperature <t>", "how freely to choose words; 0 gives the same answer each time", temperature)
    .option("--seed <n>", "makes a free choice of words repeatable", wholeNumber)
    .addOption(
      new Option(
        "--continue",
        "go on in the last conversation: with a question, with an answer that was stopped, or by asking what was not asked",
      ).conflicts("conversation"),
    )
    .option("--conversation <id>", "go on in this one")
    .option("--allow-strangers", "let this question pass through computers of people you don't know")
    .action((prompt: string | undefined, flags) => run(flags, (session) => runAsk(session, prompt, flags)));

  common(torbiz.command("engines"))
    .description("what can be asked: this computer, servers that run on it, the swarm")
    .action((flags) => run(flags, runEngines));

  const models = torbiz.command("models").description("the models that answer on this computer");
  common(models.command("list"))
    .description("what there is, and what is here")
    .action((flags) => run(flags, (session) => runModelsList(session)));
  common(models.command("pull"))
    .description("download one")
    .argument("<model>", "its id")
    .action((model: string, flags) => run(flags, (session) => runModelsPull(session, model)));
  common(models.command("remove"))
    .description("delete its files")
    .argument("<model>", "its id")
    .action((model: string, flags) => run(flags, (session) => runModelsRemove(session, model)));

  const cache = torbiz.command("cache").description("what is kept of models that were fetched from a hub");
  common(cache.command("list"))
    .description("each model and its size")
    .action((flags) => run(flags, (session) => runCacheList(session)));
  common(cache.command("remove"))
    .description("delete what is kept of one; it is downloaded anew when it is shared again")
    .argument("<model>", "its id or its repository")
    .option("--yes", "don't ask")
    .action((model: string, flags) => run(flags, (session) => runCacheRemove(session, model, flags)));

  const conversations = torbiz.command("conversations").description("what was asked and answered");
  common(conversations.command("list"))
    .description("newest first")
    .option("-n, --number <n>", "how many", atLeastOne, 20)
    .option("--search <text>", "only those that have this text")
    .action((flags) => run(flags, (session) => runConversationsList(session, flags)));
  common(conversations.command("show"))
    .description("read one")
    .argument("[id]", "default: the newest")
    .action((id: string | undefined, flags) => run(flags, (session) => runConversationsShow(session, id)));
  common(conversations.command("export"))
    .description("write one for other programs")
    .argument("[id]", "default: the newest")
    .addOption(new Option("--format <format>", "how").choices(["markdown", "json"]).default("markdown"))
    .option("-o, --output <file>", "a file to make (default: stdout)")
    .action((id: string | undefined, flags) => run(flags, (session) => runConversationsExport(session, id, flags)));
  common(conversations.command("rename"))
    .description("give one a name")
    .argument("<id>")
    .argument("<title>")
    .action((id: string, title: string, flags) => run(flags, (session) => runConversationsRename(session, id, title)));
  common(conversations.command("delete"))
    .description("delete one or all for good")
    .argument("[id]")
    .option("--all", "all of them")
    .option("--yes", "don't ask")
    .action((id: string | undefined, flags) => run(flags, (session) => runConversationsDelete(session, id, flags)));

  common(torbiz.command("doctor"))
    .description("what is wrong here, and what helps; exit code 1 when something is")
    .option("--repair", "repair what can be, then look again", false)
    .option("--bundle <file>", "write what was found and the last logs, without names and tokens, for a report")
    .action((flags) => run(flags, (session) => runDoctor(session, flags)));

  common(torbiz.command("uninstall"))
    .description("list what Torbiz has put on this computer with its size, and remove what you choose")
    .addOption(
      new Option("--only <part>", `what to remove (repeatable): ${PART_IDS.join(", ")}`).argParser(oneMore(PART_IDS)),
    )
    .option("--stop", "stop a share that runs; peers are told", false)
    .option("--yes", "don't ask: remove what --only names, or all of it", false)
    .action((flags) => run(flags, (session) => runUninstall(session, flags)));

  common(torbiz.command("build"))
    .description("build the image for sharing")
    .option("--force", "build it anew, without the engine's cache", false)
    .action((flags) => run(flags, (session) => runBuild(session, flags)));

  return torbiz;
}

/** Without a command, `torbiz` is `torbiz quickstart --set-up`. Common options may also stand before the command. */
function withDefaultCommand(args: string[], commands: readonly Command[]): string[] {
  let options = 0;
  while (args[options] === "--json" || args[options]?.startsWith("--docker-host")) {
    options += args[options] === "--docker-host" ? 2 : 1;
  }
  const first = args[options];
  const command = commands.find((each) => each.name() === first);
  const words = options + (command && command.commands.length > 0 ? 2 : 1);
  if (command || first === "help") {
    return [...args.slice(options, words), ...args.slice(0, options), ...args.slice(words)];
  }
  const asksAboutItself = first && ["-h", "--help", "-V", "--version"].includes(first);
  return !first || (first.startsWith("-") && !asksAboutItself) ? ["quickstart", "--set-up", ...args] : args;
}

async function main(): Promise<void> {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      // The second time a person means it.
      if (interruption.signal.aborted) process.exit(EXIT.interrupted);
      interruption.abort();
    });
  }
  // `torbiz logs | head`: the reader has seen enough.
  process.stdout.on("error", (error: NodeJS.ErrnoException) =>
    process.exit(error.code === "EPIPE" ? EXIT.ok : EXIT.error),
  );

  const asJson = process.argv.includes("--json");
  const torbiz = program(asJson);
  const args = withDefaultCommand(process.argv.slice(2), torbiz.commands);
  try {
    await torbiz.parseAsync(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    if (asJson && error.exitCode !== 0) {
      jsonOutput().error(new TorbizError("usage", error.message.replace(/^error: /, "")));
    }
  }
}

await main();
