import { redactHere } from "../../hooks/redact-here";
import type { TorbizError } from "../../lib/errors";
import { redactFailure } from "../../lib/failure-details";
import { codeBlock, shortened } from "./words";

/** As many of a log's last lines as the pane shows without scrolling. */
const LINES = 15;
/** A longer one pushes the others out of sight. */
const LINE_LENGTH = 300;

/** What happened, what to do next, and the last lines of the log that tells more, as Markdown. */
export function failureText(error: TorbizError): string {
  const { title, message, hint, details } = redactFailure(error, redactHere());
  const lines = Array.isArray(details?.lines) ? details.lines.slice(-LINES).map(String) : [];
  const shown = lines.map((line) => shortened(line, LINE_LENGTH));
  return [`**${title}**`, message, hint, ...(shown.length > 0 ? [codeBlock(shown.join("\n"))] : [])].join("\n\n");
}
