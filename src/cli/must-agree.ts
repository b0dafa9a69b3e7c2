import { TorbizError } from "../lib/errors";
import { confirm } from "./confirm";
import type { Session } from "./session";

/**
 * Asks before something is deleted; where nobody can be asked, a flag must have said yes.
 * @throws TorbizError usage, interrupted when the answer is no
 */
export async function mustAgree({ interactive, signal }: Session, question: string): Promise<void> {
  if (!interactive) {
    throw new TorbizError("usage", "Deleting needs a yes.", {
      hint: "Say that you mean it.",
      cliHint: "Say it with --yes.",
    });
  }
  if (!(await confirm(question, signal, "no"))) {
    throw new TorbizError("interrupted", "Nothing was deleted.", { hint: "All is as it was." });
  }
}
