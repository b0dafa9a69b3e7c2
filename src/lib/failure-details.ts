import { TorbizError, toTorbizError } from "./errors";

type Redact = (text: string) => string;

/** A thrown value can name itself as its cause. */
const CAUSES = 8;

/**
 * A failure as it may be shown. Our own words name no secrets; the message of an unexpected one is others', and so are,
 * whatever failed, the last lines of a program and what Docker said. The cause stays as it is: it is never shown by itself.
 *
 * @example
 * output.error(redactFailure(toTorbizError(error), redactor(surroundings)));
 */
export function redactFailure(error: TorbizError, redact: Redact): TorbizError {
  const { code, message, hint, cliHint, action, cause } = error;
  const others = othersWords(error, redact);
  if (code !== "unexpected" && Object.keys(others).length === 0) return error;
  return new TorbizError(code, code === "unexpected" ? redact(message) : message, {
    ...{ hint, cliHint, action, cause },
    details: error.details && { ...error.details, ...others },
  });
}

function othersWords({ details: { lines, docker } = {} }: TorbizError, redact: Redact): Record<string, unknown> {
  return {
    ...(Array.isArray(lines) && { lines: lines.map((line) => redact(String(line))) }),
    ...(typeof docker === "string" && { docker: redact(docker) }),
  };
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
