import { redactFailure } from "../lib/failure-details";
import { redactor } from "../lib/redact";
import { TorbizError } from "../lib/errors";
import { findBelongings, needsStop, removeBelongings, type Belongings, type Part, type PartId } from "../lib/uninstall";
import { sizeText } from "../lib/units";
import { confirm } from "./confirm";
import type { Session } from "./session";
import { table } from "./table";
import { readLine } from "./terminal";

export interface UninstallFlags {
  /** Which parts; all when absent. */
  only?: PartId[];
  /** Don't ask whether. */
  yes?: boolean;
  /** Stop a share that runs. */
  stop?: boolean;
}

/**
 * `torbiz uninstall`: lists what Torbiz has put here, and removes what is chosen. Nothing goes without a yes.
 * @returns the exit code: 1 when something couldn't be removed
 */
export async function runUninstall(
  session: Session,
  { only, yes = false, stop = false }: UninstallFlags,
): Promise<number> {
  const { output, surroundings, signal, interactive } = session;
  const found = await findBelongings(surroundings);
  const { parts, notes } = found;
  for (const note of notes) output.note(note);
  if (parts.length === 0) {
    output.result({ parts, removed: [], freedBytes: 0 }, "Nothing of Torbiz is here.");
    return 0;
  }
  if (!yes && !interactive) {
    const how = "Nothing was removed. Choose with --only, and say --yes.";
    output.result({ parts, inUse: found.inUse ?? null, removed: [], freedBytes: 0 }, [list(parts), how].join("\n"));
    return 0;
  }
  const ids = only ?? (yes ? parts.map(({ id }) => id) : await choose(parts, signal));
  const mayStop = stop || (!yes && needsStop(found, ids) && (await agreesToStop(found, signal)));
  const chosen = parts.filter(({ id }) => ids.includes(id));
  if (!yes && chosen.length > 0 && !(await confirm(`Remove ${titles(chosen)}? That can't be undone.`, signal, "no")))
    throw kept();

  const { stopped, removed, ...rest } = await removeBelongings(surroundings, ids, {
    stop: mayStop,
    onProgress: output.progress,
    signal,
  });
  if (stopped !== undefined) output.note(stopped);
  const redact = redactor(surroundings);
  const failed = rest.failed.map(({ part, error }) => ({ part, error: redactFailure(error, redact) }));
  const freedBytes = removed.reduce((sum, { bytes }) => sum + (bytes ?? 0), 0);
  for (const { part, error } of failed)
    output.note(`${part.title} couldn't be removed: ${error.message} ${error.hint}`);
  output.result(
    {
      ok: failed.length === 0,
      ...{ parts, removed: removed.map(({ id }) => id), freedBytes },
      failed: failed.map(({ part, error: { code, message } }) => ({ id: part.id, code, message })),
    },
    removed.length === 0
      ? "Nothing was removed."
      : `Removed ${titles(removed)}: ${sizeText(freedBytes)} are free again.`,
  );
  return failed.length === 0 ? 0 : 1;
}

function list(parts: readonly Part[]): string {
  return table(
    parts.map(({ id, title, bytes, detail }) => [id, bytes === null ? "" : sizeText(bytes), `${title}: ${detail}`]),
  );
}

/** @throws TorbizError interrupted when nothing is chosen */
async function choose(parts: readonly Part[], signal: AbortSignal): Promise<PartId[]> {
  const rows = parts.map(({ title, bytes, detail }, index) => [
    String(index + 1),
    bytes === null ? "" : sizeText(bytes),
    `${title}: ${detail}`,
  ]);
  process.stderr.write(`${table(rows)}\n`);
  for (;;) {
    const line = await readLine("Remove which? Numbers such as 1 3, or all [none]: ", signal);
    if (!line) throw kept();
    if (line.toLowerCase() === "all") return parts.map(({ id }) => id);
    const chosen = line.split(/[\s,]+/).map((word) => parts[Number(word) - 1]?.id);
    if (chosen.every((id) => id !== undefined)) return chosen;
    process.stderr.write(`Type numbers from 1 to ${parts.length}.\n`);
  }
}

/** @throws TorbizError interrupted when the answer is no */
async function agreesToStop({ inUse }: Belongings, signal: AbortSignal): Promise<true> {
  if (await confirm(`${inUse} Stop it first? Peers are told.`, signal, "no")) return true;
  throw kept();
}

function titles(parts: readonly Part[]): string {
  return new Intl.ListFormat("en").format(parts.map(({ title }) => title.toLowerCase()));
}

function kept(): TorbizError {
  return new TorbizError("interrupted", "Nothing was removed.", { hint: "All is as it was." });
}
