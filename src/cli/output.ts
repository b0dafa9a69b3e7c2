import ora, { type Ora } from "ora";
import type { LogLine } from "../lib/docker/demux";
import type { TorbizError } from "../lib/errors";
import type { Progress } from "../lib/progress";
import { printable } from "./printable";

/** How a command talks: to a person on a terminal, to a file or pipe, or to a script (`--json`). */
export interface Output {
  progress(progress: Progress): void;
  /** A step is done: what a person should still see when everything is over. */
  done(stage: string, message: string): void;
  /** Something a person should know, such as what was found and cleaned up. */
  note(message: string): void;
  /** A piece of an answer as it comes. */
  delta(text: string): void;
  log(line: LogLine): void;
  /** The end of a command that worked: fields for scripts, `text` for people ("" for nothing). */
  result(fields: Readonly<Record<string, unknown>>, text: string): void;
  error(error: TorbizError): void;
}

type Stream = Pick<NodeJS.WriteStream, "write" | "isTTY">;

/** One JSON object a line on `stdout`, and nothing else there. */
export function jsonOutput(stdout: Stream = process.stdout): Output {
  const write = (value: object): void => {
    stdout.write(`${JSON.stringify(value)}\n`);
  };
  return {
    progress: ({ stage, message, progress }) => write({ event: "stage", stage, message, progress }),
    done: (stage, message) => write({ event: "stage", stage, message, progress: 1 }),
    note: (message) => write({ event: "note", message }),
    delta: (text) => write({ event: "delta", text }),
    log: ({ time, stream, text }) => write({ event: "log", time, stream, text }),
    result: (fields) => write({ event: "result", ok: true, ...fields }),
    error: (error) => {
      const { code, title, message, details } = error;
      write({ event: "error", ok: false, code, title, message, hint: fullHint(error), ...(details && { details }) });
    },
  };
}

/** Answers, logs and results on `stdout`, everything else on `stderr`, with a spinner where that is a terminal. */
export function textOutput(stdout: Stream = process.stdout, stderr: NodeJS.WriteStream = process.stderr): Output {
  // A terminal that doesn't know its width says 0, by which ora divides.
  const steps = stderr.isTTY && stderr.columns > 0 ? spinningSteps(stderr) : plainSteps(stderr);
  let answering = false;
  /** An answer has no newline of its own at its end: other lines must not be glued to it. */
  const endAnswer = () => {
    if (answering) stdout.write("\n");
    answering = false;
  };
  return {
    progress: (progress) => {
      endAnswer();
      steps.update({ ...progress, message: shownOn(stderr, progress.message) });
    },
    done: (_stage, message) => {
      endAnswer();
      steps.done(shownOn(stderr, message));
    },
    note: (message) => {
      endAnswer();
      steps.note(shownOn(stderr, message));
    },
    delta: (text) => {
      steps.clear();
      answering = true;
      stdout.write(shownOn(stdout, text));
    },
    // Our programs begin each line with their own time.
    log: ({ text }) => stdout.write(`${shownOn(stdout, text)}\n`),
    result: (_fields, text) => {
      endAnswer();
      steps.clear();
      if (text) stdout.write(`${shownOn(stdout, text)}\n`);
    },
    error: (error) => {
      const { title, message, details } = error;
      endAnswer();
      steps.clear();
      const lines = Array.isArray(details?.lines) ? details.lines : [];
      const words = [title, `  ${message}`, ...lines.map((line) => `  | ${line}`), `  ${fullHint(error)}`, ""];
      stderr.write(shownOn(stderr, words.join("\n")));
    },
  };
}

/** Words that may hold what a server, a program or a log said. A file gets them as they are. */
function shownOn({ isTTY }: Stream, words: string): string {
  return isTTY ? printable(words) : words;
}

/** What to do, and what to type for it. */
export function fullHint({ hint, cliHint }: TorbizError): string {
  return cliHint ? `${hint} ${cliHint}` : hint;
}

interface Steps {
  update(progress: Progress): void;
  done(message: string): void;
  note(message: string): void;
  clear(): void;
}

function percent(progress: number | null): string {
  return progress === null ? "" : ` (${Math.floor(progress * 100)} %)`;
}

function spinningSteps(stream: NodeJS.WriteStream): Steps {
  let spinner: Ora | undefined;
  const end = (finish: (spinner: Ora) => void) => {
    finish(spinner ?? ora({ stream }));
    spinner = undefined;
  };
  return {
    update: ({ message, progress }) => {
      // Ora would otherwise take the terminal's stdin, and with it Ctrl-C.
      spinner ??= ora({ stream, discardStdin: false }).start();
      spinner.text = `${message}${percent(progress)}`;
    },
    done: (message) => end((spinner) => spinner.succeed(message)),
    note: (message) => end((spinner) => spinner.info(message)),
    clear: () => spinner && end((spinner) => spinner.stop()),
  };
}

/** How far a step must come before a plain log says so again. */
const PLAIN_STEP = 0.1;

function plainSteps(stream: Stream): Steps {
  let last: Progress | undefined;
  return {
    update: (progress) => {
      const further = (progress.progress ?? 0) - (last?.progress ?? 0) >= PLAIN_STEP;
      if (last && last.stage === progress.stage && !further) return;
      last = progress;
      stream.write(`${progress.message}${percent(progress.progress)}\n`);
    },
    done: (message) => {
      last = undefined;
      stream.write(`${message}\n`);
    },
    note: (message) => stream.write(`Note: ${message}\n`),
    clear: () => undefined,
  };
}
