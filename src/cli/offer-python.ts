import { ensureAskEnvironment, type AskEnvironmentKind } from "../lib/ask/ask-environments";
import type { TorbizError } from "../lib/errors";
import { confirm } from "./confirm";
import type { Session } from "./session";

/**
 * Where none of the person's Pythons fits, fetches one that does after a yes.
 * @returns whether what failed for want of it can be tried again
 * @throws TorbizError interrupted, python-fetch-failed, environment-failed
 */
export async function offerPython(
  { interactive, output, signal, surroundings }: Session,
  { code, message, details }: TorbizError,
  kind: AskEnvironmentKind,
): Promise<boolean> {
  if (!interactive || code !== "python-missing" || details?.canFetch !== true) return false;
  output.note(message);
  if (!(await confirm("Fetch a Python that fits, for Torbiz alone?", signal))) return false;
  await ensureAskEnvironment(surroundings, kind, { fetchPython: true, onProgress: output.progress, signal });
  return true;
}
