import { Action, ActionPanel, Icon, Keyboard, List } from "@raycast/api";
import { useDoctor, type UseDoctor } from "../../hooks/use-doctor";
import type { Examination } from "../../lib/doctor/doctor";
import { repairOf, type Finding, type FindingState } from "../../lib/doctor/finding";
import type { Answer } from "../../lib/doctor/questions";
import { FailureEmptyView } from "../failure-empty-view";
import { FactRow } from "../share/fact-row";
import { OpenGuideAction, OpenPreferencesAction } from "../share/help-actions";
import { SHORTCUTS } from "../share/shortcuts";
import { tinted } from "../status-look";
import { titleCase } from "../title-case";
import { UninstallForm } from "./uninstall-form";

const LOOKS = {
  problem: { title: "Problem", icon: tinted(Icon.XMarkCircle, "bad") },
  warning: { title: "Look At", icon: tinted(Icon.Warning, "warning") },
  unknown: { title: "Unknown", icon: tinted(Icon.QuestionMarkCircle, "quiet") },
  ok: { title: "Well", icon: tinted(Icon.CheckCircle, "good") },
} as const satisfies Record<FindingState, object>;

const ANSWERS = { yes: LOOKS.ok, no: LOOKS.problem, "not yet": LOOKS.unknown, unknown: LOOKS.unknown } as const;

/** What is wrong here, what helps, and whether it works: the worst first. */
export function DoctorList() {
  const doctor = useDoctor();
  const { examination, error, isBusy, look } = doctor;
  return (
    <List isLoading={isBusy} isShowingDetail={examination !== undefined} searchBarPlaceholder="Search findings">
      {error ? (
        <FailureEmptyView error={error} onRetry={look} />
      ) : (
        <List.EmptyView icon={tinted(Icon.MagnifyingGlass, "quiet")} title="Looking at Everything That Torbiz Needs…" />
      )}
      {examination && <Findings examination={examination} doctor={doctor} />}
    </List>
  );
}

function Findings({ examination, doctor }: { examination: Examination; doctor: UseDoctor }) {
  const { findings, answers } = examination;
  const states = Object.keys(LOOKS) as FindingState[];
  return (
    <>
      {states.map((state) => (
        <List.Section key={state} title={LOOKS[state].title}>
          {findings
            .filter((finding) => finding.state === state)
            .map((finding) => (
              <FindingRow key={finding.id} finding={finding} examination={examination} doctor={doctor} />
            ))}
        </List.Section>
      ))}
      <List.Section title="Does It Work?">
        {answers.map((answer) => (
          <AnswerRow key={answer.question} answer={answer} examination={examination} doctor={doctor} />
        ))}
      </List.Section>
    </>
  );
}

interface RowProps {
  examination: Examination;
  doctor: UseDoctor;
}

function FindingRow({ finding, ...row }: RowProps & { finding: Finding }) {
  const { id, title, state, detail, hint } = finding;
  const repair = repairOf(finding);
  return (
    <FactRow
      id={id}
      title={titleCase(title)}
      icon={LOOKS[state].icon}
      markdown={[detail, hint].filter(Boolean).join("\n\n")}
      actions={
        <>
          {repair && <Action title={repair.title} icon={Icon.Hammer} onAction={() => row.doctor.repair([finding])} />}
          <CommonActions {...row} text={detail} />
        </>
      }
    />
  );
}

function AnswerRow({ answer: { question, answer, because }, ...row }: RowProps & { answer: Answer }) {
  return (
    <FactRow
      id={question}
      title={question}
      icon={ANSWERS[answer].icon}
      markdown={`**${titleCase(answer)}.** ${because}`}
      actions={<CommonActions {...row} text={`${question} ${titleCase(answer)}. ${because}`} />}
    />
  );
}

function CommonActions({ examination, doctor, text }: RowProps & { text: string }) {
  const repairable = examination.findings.filter(repairOf);
  return (
    <>
      {repairable.length > 1 && (
        <Action title="Repair All" icon={Icon.WrenchScrewdriver} onAction={() => doctor.repair(repairable)} />
      )}
      <Action title="Look Again" icon={Icon.ArrowClockwise} shortcut={SHORTCUTS.refresh} onAction={doctor.look} />
      <ActionPanel.Section>
        <Action
          title="Export Report"
          icon={Icon.Download}
          shortcut={Keyboard.Shortcut.Common.Save}
          onAction={() => doctor.report(examination)}
        />
        <Action.CopyToClipboard title="Copy Finding" content={text} shortcut={SHORTCUTS.copy} />
        <Action.Push title="Uninstall…" icon={Icon.Trash} target={<UninstallForm />} />
        <OpenGuideAction />
        <OpenPreferencesAction />
      </ActionPanel.Section>
    </>
  );
}
