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
  const output = lines.filter((line) => line.trim() !== "" && !isOwnNote(line));
  const details = { ...(step && { step }), lines: output.slice(-LAST_LINES), log };
  const hint = `The whole log is ${log}. Try again: finished steps are kept.`;
  const text = output.join("\n");

  if (/no space left on device/i.test(text)) {
    return new TorbizError("disk-full", "Docker has no space left on its disk to build the image.", {
      hint: "See what takes the space with `docker system df`, or make Docker's disk larger in its settings.",
      details,
    });
  }
  if (
    /cannot connect to the docker daemon|error during connect|error reading from server|unexpected EOF$/im.test(text)
  ) {
    return new TorbizError("docker-not-running", "Docker stopped answering during the build.", { details });
  }
  if (lines.includes("torbiz: failed step=check")) {
    return new TorbizError("image-check-failed", `The new image failed its check: ${reason(output)}`, { details });
  }
  if (step && /^(?:Step \d+\/\d+ : FROM|\[.*\] FROM|\[internal\] load metadata) /.test(step)) {
    const base = / base=(\S+) /.exec(lines[0] ?? "")?.[1] ?? "The base image";
    return new TorbizError("base-image-unavailable", `${base} can't be downloaded: ${whyNotPulled(output)}`, {
      details,
    });
  }
  return new TorbizError(
    "build-failed",
    `${step ? `${shorten(step)} failed` : "The build failed"}: ${reason(output)}`,
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
  return PULL_FAILURES.find(([said]) => said.test(words))?.[1] ?? words;
}

/** The script's own lines about the end, which stand after what the builder said. */
function isOwnNote(line: string): boolean {
  return /^(?:torbiz: (?:build|step|failed)\b|Failed at: |The (?:whole )?log is )/.test(line);
}

/** The line that says most about what went wrong: our own word for it, else pip's, else the builder's last. */
function reason(output: readonly string[]): string {
  const clean = output.map((line) => line.replace(/^#\d+ (?:\d+\.\d+ )?/, "").trim());
  const named = (prefix: string) =>
    clean.findLast((text) => text.startsWith(prefix) && !/executor failed|did not complete successfully/.test(text));
  const line = named("torbiz: error ") ?? named("ERROR: ") ?? clean.at(-1) ?? "it said nothing";
  return shorten(line.replace(/^(?:torbiz: error|ERROR:) /, ""), 300);
}

function shorten(text: string, length = 120): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}
