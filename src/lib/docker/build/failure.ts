import { stripVTControlCharacters } from "node:util";
import { TorbizError } from "../../errors";

const LAST_LINES = 20;

/**
 * What made a build fail, as its log tells: `disk-full`, `docker-not-running`, `base-image-unavailable`,
 * `image-check-failed`, else `build-failed` with the failing step in the message. `details` has `step`, the last `lines`
 * and the `log`'s path.
 *
 * @param lines all lines of the log
 */
export function toBuildError(lines: readonly string[], log: string): TorbizError {
  const step = /^Failed at: (?!the start$)(.*)$/.exec(
    lines.findLast((line) => line.startsWith("Failed at: ")) ?? "",
  )?.[1];
  const output = lines.filter((line) => line.trim() !== "" && !isNote(line));
  const details = { ...(step && { step }), lines: output.slice(-LAST_LINES), log };
  const hint = `The whole log is ${log}. Try again: finished steps are kept.`;
  const text = output.join("\n");

  const room = clean(output).find((line) => line.startsWith("torbiz: error the disk of Docker has "));
  if (room || /no space left on device/i.test(text)) {
    const [free, needed] = room?.match(/[\d.]+(?= GB)/g) ?? [];
    const message = needed
      ? `Docker's disk has ${free} GB free, and building the image takes ${needed} GB more.`
      : "Docker has no space left on its disk to build the image.";
    return new TorbizError("disk-full", message, {
      hint: "See what takes the space with `docker system df`, or make Docker's disk larger in its settings.",
      details,
    });
  }
  const gone = () => new TorbizError("docker-not-running", "Docker stopped answering during the build.", { details });
  if (/cannot connect to the docker daemon|error during connect|error reading from server/i.test(text)) return gone();
  if (step && /^(?:Step \d+\/\d+ : FROM|\[.*\] FROM|\[internal\] load metadata) /.test(step)) {
    const base = / base=(\S+) /.exec(lines[0] ?? "")?.[1] ?? "The base image";
    return new TorbizError("base-image-unavailable", `${base} can't be downloaded: ${whyNotPulled(output)}`, {
      details,
    });
  }
  // What a step downloads may be cut, too: then it is the step that says so, and the builder how that ended.
  if (/unexpected EOF$/i.test(output.at(-1) ?? "")) return gone();
  if (lines.includes("torbiz: failed step=check")) {
    return new TorbizError("image-check-failed", `The new image failed its check: ${shorten(reason(output), 300)}`, {
      details,
    });
  }
  return new TorbizError(
    "build-failed",
    `${step ? `${shorten(instructionOf(step))} failed` : "The build failed"}: ${shorten(reason(output), 300)}`,
    {
      hint,
      details,
    },
  );
}

/** What registries and the network say, in words: the engine's own sentence is a chain of addresses and calls. */
const PULL_FAILURES: ReadonlyArray<[RegExp, string]> = [
  [/no such host|server misbehaving|name resolution/i, "its registry's name can't be looked up."],
  [/x509|certificate/i, "its registry's certificate isn't trusted."],
  [/toomanyrequests|rate limit/i, "its registry lets no more be downloaded for now."],
  [/manifest unknown|pull access denied|not found: |does not exist/i, "its registry doesn't have it."],
  [/connection refused|timeout|deadline exceeded|unreachable|connection reset|EOF/i, "its registry doesn't answer."],
];

function whyNotPulled(output: readonly string[]): string {
  const words = reason(output);
  return PULL_FAILURES.find(([said]) => said.test(words))?.[1] ?? shorten(words, 300);
}

/** Our script's lines, and Docker Desktop's advertisement of its window, which stand after what the builder said. */
function isNote(line: string): boolean {
  return /^(?:torbiz: (?:build|step|failed)\b|Failed at: |The (?:whole )?log is |View build details: )/.test(line);
}

/** Without what BuildKit writes before each line, and the red in which the classic builder shows what steps write to stderr. */
function clean(output: readonly string[]): string[] {
  return output.map((line) =>
    stripVTControlCharacters(line)
      .replace(/^#\d+ (?:\d+\.\d+ )?/, "")
      .trim(),
  );
}

/** How a step ended, as the builder says it. */
const CODE = / (?:exit code:|returned a non-zero code:) (\d+)$/;

/** The line that says most about what went wrong: our own word for it, else pip's, else the failing step's last, else the builder's. */
function reason(output: readonly string[]): string {
  const lines = clean(output);
  const named = (prefix: string) =>
    lines.findLast((text) => text.startsWith(prefix) && !/executor failed|did not complete successfully/.test(text));
  const code = lines.flatMap((text) => CODE.exec(text)?.[1] ?? []).at(-1);
  const line =
    named("torbiz: error ") ??
    named("ERROR: ") ??
    lastOfStep(output) ??
    (code ? `it ended with exit code ${code}` : lines.at(-1)) ??
    "it said nothing";
  return line.replace(/^(?:torbiz: error|ERROR:) /, "");
}

/** What the step that failed wrote last; undefined where it wrote nothing, or the builder doesn't say that one failed. */
function lastOfStep(output: readonly string[]): string | undefined {
  const vertex = /^#\d+ (?=ERROR: )/.exec(output.findLast((line) => /^#\d+ ERROR: /.test(line)) ?? "")?.[0];
  if (vertex) {
    const own = output.filter((line) => line.startsWith(vertex)).map((line) => line.slice(vertex.length));
    return clean(own.flatMap((text) => /^\d+\.\d+ (.*)$/.exec(text)?.[1] ?? [])).findLast(Boolean);
  }
  const end = output.findLastIndex((line) => / returned a non-zero code: \d+$/.test(line));
  const begin = output.slice(0, Math.max(end, 0)).findLastIndex((line) => line.startsWith(" ---> Running in "));
  return clean(output.slice(begin + 1, Math.max(end, 0))).findLast(
    (text) => !/^(?:Removing intermediate |$)/.test(text),
  );
}

/** Without the builder's count, "[packages  6/12] " or "Step 9/34 : ". */
function instructionOf(step: string): string {
  return step.replace(/^(?:\[[^\]]*\]|Step \d+\/\d+ :) /, "").replaceAll(/\s+/g, " ");
}

function shorten(text: string, length = 120): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}
