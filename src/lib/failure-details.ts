import { TorbizError, toTorbizError } from "./errors";

type Redact = (text: string) => string;

/** A thrown value can name itself as its cause. */
const CAUSES = 8;

/**
 * A failure as it may be shown. Our own words name no secrets; the message of an unexpected one, and the lines of a log
 * with it, are others'. The cause stays as it is: it is never shown by itself.
 *
 * @example
 * output.error(redactFailure(toTorbizError(error), redactor(surroundings)));
 */
export function redactFailure(error: TorbizError, redact: Redact): TorbizError {
  if (error.code !== "unexpected") return error;
  const { message, hint, cliHint, action, cause, details } = error;
  const lines: unknown = details?.lines;
  return new TorbizError("unexpected", redact(message), {
    ...{ hint, cliHint, action, cause },
    details: Array.isArray(lines) ? { ...details, lines: lines.map((line) => redact(String(line))) } : details,
  });
}

/** All that is known of a failure, for somebody who helps: code, what happened, what to do, and what caused it. */
export function failureDetails(error: TorbizError, redact: Redact): string {
  const { code, title, message, hint } = error;
  return redact([`${title} (${code})`, message, hint, ...causesOf(error)].join("\n"));
}

function causesOf({ cause }: TorbizError): string[] {
  const words: string[] = [];
  for (let next = cause; next !== undefined && next !== null && words.length < CAUSES;) {
    words.push(`Caused by: ${toTorbizError(next).message}`);
    next = (next as { cause?: unknown }).cause;
  }
  return words;
}
