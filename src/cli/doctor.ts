import { interrupted } from "../lib/docker/docker-error";
import { examine, repairAll, type Examination } from "../lib/doctor/doctor";
import type { Finding, FindingState } from "../lib/doctor/finding";
import { reportOf } from "../lib/doctor/report";
import { redactFailure } from "../lib/failure-details";
import { redactor } from "../lib/redact";
import type { Session } from "./session";
import { requireNew, writeNew } from "./write-new";

export interface DoctorFlags {
  /** Repair what can be, then look again. */
  repair?: boolean;
  /** A file to make of it, for a report. */
  bundle?: string;
}

const MARKS: Record<FindingState, string> = { ok: "✔", warning: "!", problem: "✖", unknown: "?" };

/** `torbiz doctor`: what is wrong here, and what helps. @returns the exit code: 0 when nothing is a problem */
export async function runDoctor(session: Session, { repair = false, bundle }: DoctorFlags): Promise<number> {
  const { output, surroundings, signal } = session;
  if (bundle !== undefined) requireNew(bundle);
  const look = () => examine(surroundings, { onProgress: output.progress, signal });
  let examination = await look();
  if (repair) {
    const repaired = await repairAll(surroundings, examination.findings, {
      ...{ onProgress: output.progress, signal },
      onRepaired: ({ title, error }) => {
        if (!error) return output.done("repairing", `${title}: done`);
        const { message, hint } = redactFailure(error, redactor(surroundings));
        output.note(`${title}: ${message} ${hint}`);
      },
    });
    if (repaired.length > 0 && !signal.aborted) examination = await look();
  }
  // What was looked at by then is no answer.
  if (signal.aborted) throw interrupted(signal);
  const { healthy, findings, answers } = examination;
  const path = bundle === undefined ? undefined : writeNew(bundle, reportOf(surroundings, examination));
  output.result(
    { ok: healthy, findings: findings.map(toJson), answers, ...(path !== undefined && { bundle: path }) },
    [describe(examination), ...(path === undefined ? [] : [`Wrote ${path}.`])].join("\n\n"),
  );
  return healthy ? 0 : 1;
}

function toJson({ id, title, state, detail, hint, cliHint, repair }: Finding) {
  return {
    id,
    title,
    state,
    detail,
    hint: [hint, cliHint].filter(Boolean).join(" ") || null,
    repair: repair?.title ?? null,
  };
}

function describe({ findings, answers }: Examination): string {
  const width = Math.max(...findings.map(({ title }) => title.length));
  const indent = " ".repeat(width + 4);
  const lines = findings.flatMap(({ title, state, detail, hint, cliHint, repair }) => [
    `${MARKS[state]} ${title.padEnd(width)}  ${detail}`,
    ...(state === "ok"
      ? []
      : [
          ...(hint ? [`${indent}${[hint, cliHint].filter(Boolean).join(" ")}`] : []),
          ...(repair ? [`${indent}\`torbiz doctor --repair\` does it: ${repair.title}.`] : []),
        ]),
  ]);
  const asked = answers.flatMap(({ question, answer, because }) => [
    question,
    `  ${answer.charAt(0).toUpperCase()}${answer.slice(1)}. ${because}`,
  ]);
  return [...lines, "", ...asked].join("\n");
}
